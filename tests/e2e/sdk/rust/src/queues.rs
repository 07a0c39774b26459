//! What test_sdk_queues.py asks of a handler.

use execgate::{each_message, Context, Error, Handler, Message, Request, Response};
use std::time::Duration;

fn take(message: &Message, _: &Context) -> Result<(), Error> {
    let body = message.text()?;
    eprintln!(
        "took {} attempt {} group {} colour {}",
        body,
        message.receive_count,
        message.group,
        message.get("colour").unwrap_or("none")
    );
    match (body, message.receive_count) {
        ("bad", 1) => Err(Error::new("Bad", "the first time")),
        ("later", _) => Err(Error::new("Later", "not yet").retry_after(Duration::from_secs(86400))),
        ("never", _) => Err(Error::new("Never", "for good").no_retry()),
        _ => Ok(()),
    }
}

fn made(body: impl Into<Vec<u8>>) -> Message {
    Message::new(body)
        .content_type("text/plain")
        .group("g h")
        .attribute("colour", "dark blue")
}

fn send(request: &Request, context: &Context) -> Result<Response, Error> {
    let orders = context.queue("orders");
    let second = made("second").dedup(format!("d{}", request.text()?));
    let receipts = orders.send_all([made(request.body()), second.clone()])?;
    let again = orders.send(second)?;
    let known = again.duplicate && again.id == receipts[1].id;
    Ok(Response::text(
        200,
        if known { "sent" } else { "not known again" },
    ))
}

fn send_with_answer(what: &str, context: &Context) -> Result<Response, Error> {
    let messages = ["one", "two"].map(|n| made(format!("{} of {}", n, what)));
    context.queue("orders").send_with_answer(messages)?;
    match what {
        "fails" => Err(Error::new("Bad", "after all")),
        _ => Ok(Response::text(200, "held")),
    }
}

/// As the field has it: the standard library reads no dates.
fn scheduled(request: &Request) -> Response {
    eprintln!("scheduled {}", request.scheduled_time().unwrap_or("never"));
    Response::default()
}

pub fn handle(request: Request, context: Context) -> Result<Response, Error> {
    let what = request.parameter("what").unwrap_or_default();
    match (request.trigger(), what.as_str()) {
        ("queue", _) => each_message(take).handle(request, context),
        ("schedule", _) => Ok(scheduled(&request)),
        (_, "send") => send(&request, &context),
        (_, "nowhere") => {
            context.queue("nowhere").send(made("x"))?;
            Ok(Response::default())
        }
        (_, what) => send_with_answer(what, &context),
    }
}
