"""The official clients under test: where each comes from, how it is started, and in what it differs from the others."""
import dataclasses
import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).resolve().parent
WEB_ADAPTER_VERSION = "1.0.0-rc1"
CPP_VERSION = "0.2.8"  # what aws-lambda-ric carries


def _found(path, pattern):
    match = re.search(pattern, (HERE / path).read_text())
    assert match, f"{path} names no version that looks like {pattern}"
    return match.group(1)


def _crate(name):
    return _found("rust/Cargo.lock", rf'name = "{name}"\nversion = "([^"]+)"')


@dataclasses.dataclass(frozen=True)
class Client:
    """`command` and `streaming` get the folder of what was built and return the words that start a process."""
    name: str
    group: str  # the build that makes it (build.py)
    version: str
    command: object
    streaming: object = None  # as command, for answers that are streamed
    cwd: object = None
    environment: dict = dataclasses.field(default_factory=dict)
    concurrency: int = 1  # above 1: one process takes that many events at once (AWS_LAMBDA_MAX_CONCURRENCY)
    concurrent_kind: str = "whole"  # the answers with which it does
    error: tuple = None  # type and message in the log when the handler returns an error
    error_status: int = 502
    panic_status: int = 502
    survives_panic: bool = False
    died: str = "handler-died"  # how a client learns that the process has exited
    sigterm: bool = True  # the process sees SIGTERM when the gateway stops
    streams: bool = True  # `streaming` has the behaviour "stream"
    breaks: bool = False  # `streaming` has the behaviour "break"


def _go(*words):
    return lambda built: [built / "aws-lambda-go", *words]


def _rust(name, *words):
    return lambda built: [built / "rust" / name, *words]


def _node(handler):
    return lambda built: [shutil.which("node"), built / "aws-lambda-ric/node_modules/aws-lambda-ric/bin/index.mjs", handler]


def _java(built):
    return [shutil.which("java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-D{JNI}={built}/aws-lambda-java/jni/libaws-lambda-jni.linux-x86_64.so", "-cp", f"{built}/aws-lambda-java/classes:{built}/aws-lambda-java/lib/*",
            "com.amazonaws.services.lambda.runtime.api.client.AWSLambda", "compat.App::handleRequest"]


def _adapter(built):
    return ["/usr/bin/python3", HERE / "aws-lambda-web-adapter/server.py", built / "web-adapter/bin/lambda-adapter"]


# By default each Java process unpacks the native part of the client over the same file in /tmp: two that start at once crash.
JNI = "com.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI"
GO = _found("aws-lambda-go/go.mod", r"aws-lambda-go v(\S+)")
REFUSED = "refused by the handler"
CLIENTS = [
    Client("aws-lambda-go", "go", GO, _go(), streaming=_go(), streams=False, breaks=True, concurrency=8, error=("errorString", REFUSED)),
    Client("aws-lambda-go lambdaurl", "go", GO, _go("url"), streaming=_go("url"), concurrency=8, panic_status=None),
    Client("lambda_runtime", "rust", _crate("lambda_runtime"), _rust("compat-lambda-runtime"), streaming=_rust("compat-lambda-runtime"), breaks=True,
           concurrency=8, error=("Function.Unknown", REFUSED), survives_panic=True),
    Client("lambda_http (axum)", "rust", _crate("lambda_http"), _rust("compat-lambda-http"), streaming=_rust("compat-lambda-http", "stream"), breaks=True,
           concurrency=8, concurrent_kind="streamed", survives_panic=True, sigterm=False),
    Client("aws-lambda-ric", "node", _found("aws-lambda-ric/package.json", r'"aws-lambda-ric": "([^"]+)"'), _node("app.handler"),
           streaming=_node("app.streaming"), breaks=True, cwd=lambda built: built / "aws-lambda-ric", error=("TypeError", REFUSED)),
    Client("awslambdaric", "python", _found("awslambdaric/requirements.txt", r"awslambdaric==(\S+)"),
           lambda built: [built / "awslambdaric/bin/python", "-m", "awslambdaric", "app.handler"], cwd=lambda built: HERE / "awslambdaric",
           environment={"PYTHONDONTWRITEBYTECODE": "1"}, concurrency=8, error=("ValueError", REFUSED), sigterm=False),
    Client("aws-lambda-java-runtime-interface-client", "java", _found("aws-lambda-java/pom.xml", r"client</artifactId>\s*<version>([^<]+)"), _java,
           concurrency=8, error=("java.lang.IllegalStateException", REFUSED)),
    Client("aws-lambda-cpp", "cpp", CPP_VERSION, lambda built: [built / "aws-lambda-cpp/handler"], error=("Handler.Refused", REFUSED), sigterm=False),
    Client("aws-lambda-web-adapter", "web-adapter", WEB_ADAPTER_VERSION, _adapter, streaming=_adapter, breaks=True, concurrency=8, error_status=501, died="handler-", survives_panic=True),
]
