"""calls.py URL: every call of the test through boto3's client for Lambda; what came of each as one JSON object."""
import base64
import json
import sys

import boto3
import botocore.config
import botocore.exceptions

client = boto3.client("lambda", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any",
                      config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=60))
CONTEXT = base64.b64encode(json.dumps({"custom": {"tenant": "acme"}, "client": {"app_title": "shop"}}).encode()).decode()


def invoke(name="shop", event=None, **more):
    try:
        r = client.invoke(FunctionName=name, **({} if event is None else {"Payload": json.dumps(event)}), **more)
    except botocore.exceptions.ClientError as error:
        return {"raised": type(error).__name__, "code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"],
                "status": error.response["ResponseMetadata"]["HTTPStatusCode"]}
    log = base64.b64decode(r["LogResult"]).decode() if "LogResult" in r else None
    return {"status": r["StatusCode"], "payload": r["Payload"].read().decode(), "error": r.get("FunctionError"), "version": r.get("ExecutedVersion"), "log": log,
            "id": r["ResponseMetadata"]["RequestId"]}


def stream(event, **more):
    r = client.invoke_with_response_stream(FunctionName="shop", Payload=json.dumps(event), **more)
    pieces, complete = [], None
    for e in r["EventStream"]:
        if "PayloadChunk" in e:
            pieces.append(e["PayloadChunk"]["Payload"])
        else:
            complete = e["InvokeComplete"]
    if complete and "LogResult" in complete:
        complete["LogResult"] = base64.b64decode(complete["LogResult"]).decode()
    return {"status": r["StatusCode"], "payload": b"".join(pieces).decode(), "pieces": len(pieces), "complete": complete}


json.dump({
    "plain": invoke(event={"n": [1, 2.5, "\u00e9"]}),
    "nothing": invoke(),
    "arn": invoke("arn:aws:lambda:us-east-1:012345678912:function:shop", {"by": "arn"}, Qualifier="$LATEST"),
    "later": invoke(event={"do": "later"}, InvocationType="Event"),
    "dry": invoke(event={"do": "later"}, InvocationType="DryRun"),
    "error": invoke(event={"do": "error"}, LogType="Tail"),
    "exit": invoke(event={"do": "exit"}),
    "log": invoke(event={"do": "print"}, LogType="Tail"),
    "context": invoke(event={}, ClientContext=CONTEXT),
    "unknown": invoke("nobody", {}),
    "stream": stream({"do": "stream"}, LogType="Tail"),
    "broken": stream({"do": "break"}),
    "stream error": stream({"do": "error"}),
    "large": {"size": len(invoke(event={"do": "large"})["payload"])},
}, sys.stdout)
