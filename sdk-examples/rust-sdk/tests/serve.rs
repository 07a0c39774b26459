use execgate::testing::{call, Event, Gateway};
use execgate::{Context, Error, Request, Response, Server};
use std::io::Write;
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn echo(request: Request, _: Context) -> Result<Response, Error> {
    let method = request.method().to_string();
    Ok(Response::new(200)
        .header("X-Method", method)
        .body(request.into_body()))
}

/// A sender that threads may share, in Rust 1.63 too.
fn shared<T>(sender: Sender<T>) -> impl Fn(T) {
    let sender = Mutex::new(sender);
    move |value| sender.lock().unwrap().send(value).unwrap()
}

#[test]
fn an_event_comes_and_an_answer_goes() {
    let g = Gateway::start(echo, 1);
    for size in [0, 1, 500_000] {
        let body = vec![b'x'; size];
        let a = g.call(Event::new("PUT", "/").body(body.clone()));
        assert_eq!(
            (a.status, a.header("x-method"), a.body == body),
            (200, Some("PUT"), true)
        );
    }
}

#[test]
fn everything_of_an_event() {
    let (sender, requests) = channel();
    let send = shared(sender);
    let g = Gateway::start(
        move |request: Request, context: Context| {
            assert!(context.remaining().unwrap() > LONG && !context.is_cancelled());
            send(request);
            Ok(Response::default())
        },
        1,
    );
    let event = Event::post("/a%20b/7?x=1", r#"{"n":1}"#)
        .parameter("id", "a%2Fb")
        .claims(r#"{"sub":"alice"}"#)
        .header("X-Two", "1")
        .timeout(2 * LONG);
    assert_eq!(g.call(event).status, 200);
    let r = requests.recv_timeout(LONG).unwrap();
    assert_eq!(
        (r.trigger(), r.route(), r.method()),
        ("http", "POST /a%20b/7", "POST")
    );
    assert_eq!(
        (r.path().as_ref(), r.query("x").as_deref()),
        ("/a b/7", Some("1"))
    );
    assert_eq!(
        (r.parameter("id").as_deref(), r.header("x-two")),
        (Some("a/b"), Some("1"))
    );
    assert_eq!(r.claims().unwrap()["sub"].as_str(), Some("alice"));
    assert_eq!(r.json().unwrap()["n"].as_f64(), Some(1.0));
    assert_eq!(r.request_id(), r.id());
}

fn failing(request: Request, _: Context) -> Result<Response, Error> {
    match request.target() {
        "/error" => Err(Error::new("OutOfStock", "none left")),
        "/question" => Ok(Response::text(200, "x".parse::<u8>()?.to_string())),
        "/panic" => panic!("no {}", "more"),
        "/status" => Ok(Response::new(99)),
        "/field" => Ok(Response::new(200).header("X-Bad", "a\r\nEvil: yes")),
        "/ours" => Ok(Response::new(200)
            .header("Content-Length", "9")
            .header("Execgate-Error", "x")
            .body("ok")),
        _ => Ok(Response::text(200, "fine")),
    }
}

#[test]
fn failures_are_answers_and_the_process_goes_on() {
    let g = Gateway::start(failing, 2);
    let expected = [
        ("/error", Some("OutOfStock"), "none left"),
        ("/question", Some("Error"), "invalid digit found in string"),
        (
            "/status",
            Some("InvalidAnswer"),
            "the status 99 is not one of 200 to 599",
        ),
        (
            "/field",
            Some("InvalidAnswer"),
            "the field \"X-Bad\": \"a\\r\\nEvil: yes\" is not valid",
        ),
        ("/ours", None, "ok"),
        ("/fine", None, "fine"),
    ];
    for (target, failure, text) in expected {
        let a = g.call(Event::get(target));
        assert_eq!(
            (a.failure.as_deref(), a.text().as_ref()),
            (failure, text),
            "{}",
            target
        );
    }
    let a = g.call(Event::get("/panic"));
    assert_eq!(a.failure.as_deref(), Some("Panic"));
    assert!(
        a.text().starts_with("panicked at tests/serve.rs:") && a.text().ends_with(": no more"),
        "{}",
        a.text()
    );
}

#[test]
fn events_at_once() {
    // Each waits for all the others.
    let together = Barrier::new(4);
    let g = Gateway::start(
        move |_: Request, _: Context| {
            together.wait();
            Ok(Response::default())
        },
        4,
    );
    for _ in 0..20 {
        let sent: Vec<_> = (0..4).map(|_| g.send(Event::get("/"))).collect();
        sent.iter().for_each(|s| assert_eq!(s.wait().status, 200));
    }
}

#[test]
fn a_handler_that_was_quick_and_gets_stuck_holds_nobody_up() {
    let (sender, release) = channel::<()>();
    let release = Mutex::new(release);
    let g = Gateway::start(
        move |request: Request, _: Context| {
            if request.target() == "/stuck" {
                release.lock().unwrap().recv_timeout(LONG).unwrap();
            }
            Ok(Response::default())
        },
        16,
    );
    for _ in 0..200 {
        g.call(Event::get("/"));
    }
    let stuck = g.send(Event::get("/stuck"));
    for _ in 0..50 {
        assert_eq!(g.call(Event::get("/")).status, 200);
    }
    sender.send(()).unwrap();
    assert_eq!(stuck.wait().status, 200);
}

#[test]
fn many_events_are_answered_once_each() {
    let g = Arc::new(Gateway::start(echo, 16));
    let callers: Vec<_> = (0..16)
        .map(|i| {
            let g = g.clone();
            std::thread::spawn(move || {
                for j in 0..200 {
                    let body = format!("{} {}", i, j);
                    assert_eq!(g.call(Event::post("/", body.clone())).text(), body);
                }
            })
        })
        .collect();
    callers
        .into_iter()
        .for_each(|caller| caller.join().unwrap());
    assert!(
        g.exchanges() <= 2 * 16 * 200 + 2,
        "{} exchanges",
        g.exchanges()
    );
}

#[test]
fn cancellation_and_deadline_are_seen() {
    for concurrency in [1, 4] {
        let (sender, started) = channel();
        let send = shared(sender);
        let g = Gateway::start(
            move |_: Request, context: Context| {
                send(());
                let told = context.sleep(LONG);
                Ok(Response::text(200, told.to_string()))
            },
            concurrency,
        );
        let sent = g.send(Event::get("/"));
        started.recv_timeout(LONG).unwrap();
        g.cancel(&sent);
        assert_eq!(sent.wait().text(), "true");
        let a = g.call(Event::get("/").timeout(Duration::from_millis(20)));
        assert_eq!(a.text(), "true");
    }
}

#[test]
fn drain_and_terminate_lose_nothing() {
    for end in [Gateway::drain, Gateway::terminate] {
        for concurrency in [1, 8] {
            let (sender, started) = channel();
            let (release, released) = channel::<()>();
            let (send, released) = (shared(sender), Mutex::new(released));
            let g = Gateway::start(
                move |_: Request, _: Context| {
                    send(());
                    released.lock().unwrap().recv_timeout(LONG).unwrap();
                    Ok(Response::text(200, "done"))
                },
                concurrency,
            );
            let sent: Vec<_> = (0..concurrency).map(|_| g.send(Event::get("/"))).collect();
            sent.iter()
                .for_each(|_| started.recv_timeout(LONG).unwrap());
            end(&g);
            sent.iter().for_each(|_| release.send(()).unwrap());
            sent.iter()
                .for_each(|s| assert_eq!(s.wait().text(), "done"));
            g.wait().unwrap();
        }
    }
}

#[test]
fn terminating_while_idle_ends() {
    let g = Gateway::start(echo, 4);
    g.call(Event::get("/"));
    g.terminate();
    g.wait().unwrap();
}

fn streaming(request: Request, _: Context) -> Result<Response, Error> {
    let how = request.target().to_string();
    Ok(Response::new(201)
        .header("X-A", "b")
        .body("begin ")
        .stream(move |out| {
            write!(out, "middle ")?;
            out.write_all(b"")?;
            match how.as_str() {
                "/error" => Err(std::io::Error::new(std::io::ErrorKind::Other, "no more")),
                "/panic" => panic!("no more"),
                _ => write!(out, "end"),
            }
        }))
}

#[test]
fn streams() {
    let g = Gateway::start(streaming, 2);
    let a = g.call(Event::get("/"));
    assert_eq!(
        (
            a.status,
            a.text().as_ref(),
            a.header("x-a"),
            a.failure.as_deref()
        ),
        (201, "begin middle end", Some("b"), None)
    );
    let a = g.call(Event::get("/error"));
    assert_eq!(
        (a.text().as_ref(), a.failure.as_deref()),
        ("begin middle ", Some("Error"))
    );
    assert_eq!(
        g.call(Event::get("/panic")).failure.as_deref(),
        Some("Panic")
    );
    assert_eq!(
        call(&streaming, Event::get("/")).unwrap().text(),
        "begin middle end"
    );
}

#[test]
fn without_a_gateway() {
    let nowhere = Server::new().socket("/no/such/socket").run(echo);
    assert_eq!(nowhere.unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_direct_call() {
    let a = call(&echo, Event::post("/", "x")).unwrap();
    assert_eq!(
        (a.status, a.text().as_ref(), a.header("X-Method")),
        (200, "x", Some("POST"))
    );
    assert_eq!(
        call(&failing, Event::get("/error")).unwrap_err().kind(),
        "OutOfStock"
    );
    assert_eq!(
        call(&failing, Event::get("/field")).unwrap_err().kind(),
        "InvalidAnswer"
    );
}
