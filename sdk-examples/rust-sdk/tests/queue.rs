use execgate::testing::{call, Event, Gateway, Posted};
use execgate::{each_message, Context, Error, Message, Queue, Request, Response, SendError};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

fn bad(message: &Message, _: &Context) -> Result<(), Error> {
    match message.text()? {
        "bad" => Err(Error::new("Bad", "this one is bad")),
        "later" => Err(Error::new("NotYet", "come again").retry_after(Duration::from_secs(90))),
        "never" => Err(Error::new("Bad", "for good").no_retry()),
        _ => Ok(()),
    }
}

fn named(body: &str) -> Message {
    Message {
        id: format!("id-{}", body),
        ..Message::new(body)
    }
}

#[test]
fn everything_of_a_message() {
    let whole = Message {
        id: "id-1".to_string(),
        receive_count: 3,
        sent: Some(UNIX_EPOCH + Duration::from_millis(1795251281712)),
        ..Message::new("a\r\n\r\nPOST / HTTP/1.1\r\n\0")
            .content_type("text/plain")
            .group("a b&c")
            .dedup("é")
            .attribute("colour", "dark blue")
            .attribute("a=b", "c&d")
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = seen.clone();
    let handler = each_message(move |m: &Message, _: &Context| {
        keep.lock().unwrap().push(m.clone());
        Ok(())
    });
    let batch = [whole.clone(), Message::default(), Message::new("last")];
    let a = call(&handler, Event::messages("orders", batch)).unwrap();
    assert_eq!(a.text(), r#"{"batchItemFailures":[]}"#);
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen.len(), &seen[0], seen[0].get("a=b")),
        (3, &whole, Some("c&d"))
    );
    assert_eq!(
        (seen[1].body.len(), seen[2].body.as_slice()),
        (0, &b"last"[..])
    );
    assert!(seen[2].receive_count == 1 && seen[1].id != seen[2].id);
}

#[test]
fn an_event_that_is_its_only_message() {
    let event = Event::post("/queue/orders", "x")
        .trigger("queue")
        .header("Queue-Message-Id", "7")
        .header("Queue-Group-Id", "g%2B");
    let check = each_message(|m: &Message, _: &Context| {
        assert_eq!(
            (m.id.as_str(), m.group.as_str(), m.text()),
            ("7", "g+", Ok("x"))
        );
        Err(Error::new("Seen", ""))
    });
    assert_eq!(call(&check, event).unwrap_err().kind(), "Seen");
}

#[test]
fn what_has_no_messages() {
    for event in [
        Event::get("/"),
        Event::post("/", "nonsense").trigger("queue"),
        Event::post("/", "GET / HTTP/1.1\r\n\r\n").trigger("queue"),
        Event::post(
            "/",
            "P / H\r\nQueue-Message-Id: 1\r\nContent-Length: 9\r\n\r\nx",
        )
        .trigger("queue"),
    ] {
        let e = call(&each_message(bad), event).unwrap_err();
        assert_eq!(e.kind(), "NoMessages");
    }
}

#[test]
fn messages_fail_one_by_one() {
    let g = Gateway::start(each_message(bad), 1);
    let a = g.call(Event::messages(
        "orders",
        ["good", "bad", "never", "fine"].map(named),
    ));
    assert_eq!(
        a.text(),
        r#"{"batchItemFailures":[{"itemIdentifier":"id-bad"},{"itemIdentifier":"id-never"}]}"#
    );
    for (body, kind, retry) in [
        ("bad", "Bad", None),
        ("later", "NotYet", Some("90000ms")),
        ("never", "Bad", Some("false")),
    ] {
        let a = g.call(Event::messages("orders", [named(body)]));
        assert_eq!(
            (a.failure.as_deref(), a.header("Execgate-Retry")),
            (Some(kind), retry)
        );
    }
}

fn to_send() -> Message {
    Message::new(&b"\0\xff\""[..])
        .content_type("text/plain")
        .group("g")
        .dedup("d \"")
        .attribute("a", "b\n")
        .delay(Duration::from_secs(90))
}

#[test]
fn sending() {
    let g = Gateway::start(
        |_: Request, context: Context| {
            let queue = context.queue("orders");
            let first = queue.send_all([to_send(), Message::default()])?;
            let again = queue.send(to_send())?;
            let same = again.duplicate && again.id == first[0].id && !first[1].duplicate;
            Ok(Response::text(200, format!("{} {}", first.len(), same)))
        },
        1,
    );
    assert_eq!(g.call(Event::get("/")).text(), "2 true");
    let posted = g.posted();
    assert_eq!(posted.len(), 2);
    let id = posted[0].message.id.clone();
    let message = Message { id, ..to_send() };
    let queue = "orders".to_string();
    assert_eq!(
        posted[0],
        Posted {
            queue,
            with_answer: false,
            message
        }
    );
    g.refuse_sends(413);
    let a = g.call(Event::get("/"));
    assert_eq!(a.text(), "the queue answered 413: as the test says");
}

fn sends_with_its_answer(request: Request, context: Context) -> Result<Response, Error> {
    let messages = [Message::new(request.body()), Message::new("second")];
    context.queue("orders").send_with_answer(messages)?;
    match request.body() {
        b"fails" => Err(Error::new("Bad", "after all")),
        _ => Ok(Response::default()),
    }
}

#[test]
fn sending_with_the_answer() {
    let g = Gateway::start(sends_with_its_answer, 1);
    assert!(g.call(Event::post("/", "fails")).failure.is_some() && g.posted().is_empty());
    assert_eq!(g.call(Event::post("/", "first")).status, 200);
    let bodies: Vec<_> = g.posted().into_iter().map(|p| p.message.body).collect();
    assert_eq!(bodies, [b"first".to_vec(), b"second".to_vec()]);
    let a = call(&sends_with_its_answer, Event::post("/", "a direct call")).unwrap();
    assert!(a.posted.len() == 2 && a.posted[0].with_answer);
    let nowhere = Queue::new("orders").send_with_answer([Message::default()]);
    assert!(matches!(
        nowhere,
        Err(SendError::Refused { status: 404, .. })
    ));
}

#[test]
fn a_send_ends_at_the_deadline() {
    let g = Gateway::start(
        |_: Request, context: Context| match context.queue("orders").send(Message::default()) {
            Err(SendError::Lost(e)) if e.kind() == io::ErrorKind::TimedOut => {
                Ok(Response::text(200, "gave up"))
            }
            other => Ok(Response::text(200, format!("{:?}", other))),
        },
        1,
    );
    g.stall_sends();
    let event = Event::get("/").timeout(Duration::from_millis(50));
    assert_eq!(g.call(event).text(), "gave up");
}

#[test]
fn the_time_of_a_schedule() {
    let tell = |request: Request, _: Context| {
        let at = request.scheduled_time().unwrap_or("never").to_string();
        Ok(Response::text(200, at))
    };
    let event = Event::post("/schedule/nightly", "{}").trigger("schedule");
    let timed = event
        .clone()
        .header("Execgate-Scheduled-Time", "2026-03-29T01:00:00Z");
    assert_eq!(call(&tell, timed).unwrap().text(), "2026-03-29T01:00:00Z");
    assert_eq!(call(&tell, event).unwrap().text(), "never");
}
