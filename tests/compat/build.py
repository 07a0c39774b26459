#!/usr/bin/env python3
"""Builds the handlers of tests/compat into a folder: build.py FOLDER.

What the machine has no tools for, or whose registry cannot be reached, is left out and named; anything else that goes wrong is a
failure. FOLDER/manifest.json says what was built and what was not, and why."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import zipfile

from clients import CPP_VERSION, HERE, WEB_ADAPTER_VERSION

# How the package tools say that there is no way to their registry.
UNREACHABLE = re.compile(
    r"could ?n[o']t resolve host|could not resolve proxy|no such host|name or service not known|temporary failure in name resolution|network is unreachable|"
    r"connection refused|couldn't connect|could not connect|failed to connect|connection timed out|i/o timeout|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|"
    r"unknown host|failed to establish a new connection|spurious network error|from versions: none", re.IGNORECASE)
SECONDS = 900
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy-dependencies"


class LeftOut(Exception):
    """This machine cannot have it."""


class Failed(Exception):
    """It should have worked."""


def environment():
    # What `make` told its children is not meant for the makefiles of the packages.
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CFLAGS")}


def run(*words, cwd=HERE, **more):
    words = [str(w) for w in words]
    done = subprocess.run(words, cwd=cwd, env={**environment(), **more}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def fetch(*words, **more):
    """Runs a command that asks a registry."""
    try:
        return run(*words, **more)
    except Failed as failure:
        found = UNREACHABLE.search(str(failure))
        if found:
            raise LeftOut(f"the registry of `{words[0]}` cannot be reached ({found.group(0)})") from failure
        raise


def build_go(into):
    folder = HERE / "aws-lambda-go"
    fetch("go", "mod", "download", cwd=folder)
    run("go", "build", "-mod=readonly", "-o", into / "aws-lambda-go", ".", cwd=folder, GOPROXY="off")


def build_rust(into):
    folder, target = HERE / "rust", into / "cargo"
    fetch("cargo", "fetch", "--locked", cwd=folder)
    run("cargo", "build", "--release", "--locked", "--offline", "--quiet", "--target-dir", target, cwd=folder)
    (into / "rust").mkdir(exist_ok=True)
    for name in ("compat-lambda-runtime", "compat-lambda-http"):
        shutil.copy2(target / "release" / name, into / "rust" / name)


def build_web_adapter(into):
    fetch("cargo", "install", "--quiet", "--locked", "--version", WEB_ADAPTER_VERSION, "--root", into / "web-adapter", "lambda_web_adapter",
          CARGO_TARGET_DIR=str(into / "cargo-web-adapter"), CARGO_PROFILE_RELEASE_LTO="off", CARGO_PROFILE_RELEASE_OPT_LEVEL="0",
          CARGO_PROFILE_RELEASE_CODEGEN_UNITS="16")


def node_stamp():
    """What a build of the native part depends on; the same again need not be built again."""
    made_of = (HERE / "aws-lambda-ric/package-lock.json").read_bytes() + run("node", "--version").encode()
    return hashlib.sha256(made_of).hexdigest()


def build_node(into):
    folder, stamp = into / "aws-lambda-ric", node_stamp()
    addon = folder / "node_modules/aws-lambda-ric/dist/rapid-client.node"
    stamp_file = folder / "stamp"
    if not (addon.exists() and stamp_file.exists() and stamp_file.read_text() == stamp):
        install_node(into, folder)
        if not addon.exists():
            raise Failed(f"npm rebuild made no {addon.name}: were the package's scripts not run?")
        stamp_file.write_text(stamp)
    shutil.copy2(HERE / "aws-lambda-ric/app.mjs", folder)


def install_node(into, folder):
    """The package as the registry has it, then its own build, which compiles libcurl and aws-lambda-cpp."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy2(HERE / "aws-lambda-ric" / name, folder)
    fetch("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    cut_out_cpp(into, folder)
    headers = pathlib.Path(shutil.which("node")).resolve().parents[1]
    local = {"npm_config_nodedir": str(headers)} if (headers / "include/node/node.h").exists() else {}
    fetch("npm", "rebuild", "aws-lambda-ric", "--foreground-scripts", cwd=folder, MAKEFLAGS=f"-j{os.cpu_count()}", JOBS=str(os.cpu_count()), **local)


def cut_out_cpp(into, folder):
    """aws-lambda-cpp has no registry of its own, but aws-lambda-ric carries its sources."""
    archive = folder / f"node_modules/aws-lambda-ric/deps/aws-lambda-cpp-{CPP_VERSION}.tar.gz"
    shutil.rmtree(into / "aws-lambda-cpp", ignore_errors=True)
    (into / "aws-lambda-cpp").mkdir()
    run("tar", "-xzf", archive, "-C", into / "aws-lambda-cpp", "--no-same-owner")


def build_cpp(into):
    folder = into / "aws-lambda-cpp"
    source = folder / f"aws-lambda-cpp-{CPP_VERSION}"
    run("cmake", "-S", source, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_INSTALL_PREFIX={folder / 'installed'}")
    run("make", "-C", folder / "build", f"-j{os.cpu_count()}", "install")
    run("g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-I", folder / "installed/include", "-o", folder / "handler", HERE / "aws-lambda-cpp/main.cpp",
        folder / "installed/lib/libaws-lambda-runtime.a", "-lcurl", "-lpthread")


def build_python(into):
    folder = into / "awslambdaric"
    run("/usr/bin/python3", "-m", "venv", "--clear", folder)
    fetch(folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes", "--only-binary", ":all:",
          "-r", HERE / "awslambdaric/requirements.txt")


def build_java(into):
    folder = into / "aws-lambda-java"
    shutil.rmtree(folder, ignore_errors=True)
    fetch("mvn", "-B", "-q", "-C", "-f", HERE / "aws-lambda-java/pom.xml", MAVEN_COPY, f"-DoutputDirectory={folder / 'lib'}")
    extract_jni(folder)
    run("javac", "--release", "17", "-Xlint:all", "-Werror", "-cp", f"{folder}/lib/*", "-d", folder / "classes",
        *(HERE / "aws-lambda-java/src/main/java/compat").glob("*.java"))


def extract_jni(folder):
    jar = next((folder / "lib").glob("aws-lambda-java-runtime-interface-client-*.jar"))
    with zipfile.ZipFile(jar) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("jni/")])


def build_websocket_node(into):
    folder = into / "websocket-node"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "websocket/node", folder)
    fetch("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


def build_websocket_go(into):
    folder = HERE / "websocket/go"
    fetch("go", "mod", "download", cwd=folder)
    run("go", "build", "-mod=readonly", "-o", into / "websocket-go", ".", cwd=folder, GOPROXY="off")


# group -> the tools it needs, what builds it; a lane's builds run one after the other.
LANES = [
    [("rust", ["cargo"], build_rust), ("web-adapter", ["cargo"], build_web_adapter)],
    [("node", ["node", "npm", "cmake", "make", "g++", "autoreconf", "libtoolize"], build_node),
     ("cpp", ["node", "npm", "cmake", "make", "g++"], build_cpp), ("go", ["go"], build_go),
     ("websocket-node", ["node", "npm"], build_websocket_node), ("websocket-go", ["go"], build_websocket_go),
     ("java", ["java", "javac", "mvn"], build_java), ("python", ["/usr/bin/python3"], build_python)],
]


def build_one(name, tools, builder, into):
    missing = [t for t in tools if not shutil.which(t)]
    if missing:
        raise LeftOut(f"not on this machine: {', '.join(missing)}")
    builder(into)


def build_lane(lane, into):
    results = {}
    for name, tools, builder in lane:
        start = time.monotonic()
        try:
            if name == "cpp" and results.get("node", {}).get("left_out"):
                raise LeftOut("its sources come with aws-lambda-ric, which was left out")
            build_one(name, tools, builder, into)
            results[name] = {}
            print(f"compat: {name} built in {time.monotonic() - start:.0f} s", flush=True)
        except LeftOut as why:
            results[name] = {"left_out": str(why)}
            print(f"compat: LEFT OUT: {name}: {why}", flush=True)
        except (Failed, OSError, subprocess.TimeoutExpired) as failure:
            results[name] = {"failed": str(failure)}
            print(f"compat: FAILED: {name}: {failure}", flush=True)
    return results


def main():
    into = pathlib.Path(sys.argv[1]).resolve()
    into.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(LANES)) as pool:
        results = {name: result for lane in pool.map(lambda lane: build_lane(lane, into), LANES) for name, result in lane.items()}
    (into / "manifest.json").write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(any("failed" in result for result in results.values()))


if __name__ == "__main__":
    main()
