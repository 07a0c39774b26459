//! What test_sdk.py asks of a handler, on the Rust SDK.

mod queues;
mod rooms;

use execgate::json::Json;
use execgate::{Context, Error, Request, Response, Stream};
use std::io::{self, Write};
use std::sync::Barrier;
use std::time::Duration;

fn wait(context: &Context) {
    eprintln!("waiting");
    while !context.sleep(Duration::from_secs(60)) {}
    eprintln!("the context ended");
}

fn ticks(out: &mut Stream, context: &Context, last: Option<String>) -> io::Result<()> {
    for i in 1.. {
        let written = writeln!(out, "tick {}", i);
        if last == Some(i.to_string()) {
            return written;
        }
        if written.is_err() || context.sleep(Duration::from_millis(20)) {
            eprintln!("nobody listens");
            return written;
        }
    }
    Ok(())
}

fn handle(request: Request, context: Context, together: &Barrier) -> Result<Response, Error> {
    if request.trigger() == "invoke" {
        return Ok(Response::new(200).body(request.text()?.to_uppercase()));
    }
    match request.parameter("what").as_deref() {
        Some("panic") => panic!("what a mess"),
        Some("error") => return Err(Error::new("OutOfStock", "db.example is empty")),
        Some("meet") => {
            together.wait();
        }
        Some("wait") => wait(&context),
        Some("slow") => {
            eprintln!("slow begins");
            std::thread::sleep(Duration::from_millis(300));
        }
        Some("ticks") => {
            let last = request.query("last");
            let answer = Response::new(200).header("Content-Type", "text/plain");
            return Ok(answer.stream(move |out| ticks(out, &context, last)));
        }
        Some("torn") => {
            return Ok(Response::new(200).stream(|out| {
                out.write_all(b"half of ")?;
                Err(io::Error::new(io::ErrorKind::Other, "it broke"))
            }))
        }
        Some("claims") => {
            let claims = request.claims().unwrap_or(Json::Null);
            let answer = Json::object([
                ("sub", claims["sub"].clone()),
                ("id", request.request_id().into()),
                ("route", request.route().into()),
            ]);
            return Ok(Response::json(200, answer));
        }
        _ => {}
    }
    Ok(Response::new(200).body(request.into_body()))
}

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("queues") => return execgate::serve(queues::handle),
        Some("rooms") => return execgate::serve(rooms::handle),
        _ => {}
    }
    let together = Barrier::new(4);
    execgate::serve(|request: Request, context: Context| handle(request, context, &together))?;
    eprintln!("ended by itself");
    Ok(())
}
