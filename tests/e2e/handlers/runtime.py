"""A small Lambda-face client for the tests' handlers: plain http.client, nothing hidden."""
import http.client
import json
import os

PREFIX = "/2018-06-01/runtime"


class Runtime:
    def __init__(self):
        self.host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        self.connection = http.client.HTTPConnection(self.host)

    def call(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        r = self.connection.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()

    def next(self):
        """(id, headers, event)"""
        status, headers, body = self.call("GET", PREFIX + "/invocation/next")
        assert status == 200, (status, body)
        return headers["lambda-runtime-aws-request-id"], headers, json.loads(body)

    def respond(self, id, answer, headers=None):
        body = answer if isinstance(answer, (bytes, str)) else json.dumps(answer)
        return self.call("POST", f"{PREFIX}/invocation/{id}/response", body, headers)

    def error(self, id, kind, message, headers=None):
        body = json.dumps({"errorType": kind, "errorMessage": message, "stackTrace": []})
        return self.call("POST", f"{PREFIX}/invocation/{id}/error", body, {"Lambda-Runtime-Function-Error-Type": kind, **(headers or {})})
