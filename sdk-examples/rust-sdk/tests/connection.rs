use execgate::testing::{call, Answer, Event, Gateway, Pushed};
use execgate::{CallError, Context, Error, Request, Response};

/// Joins, leaves, tells and asks, as the message says.
fn room(request: Request, context: Context) -> Result<Response, Error> {
    let tea = context.group("a / tea");
    let here = context.connection(request.connection());
    let (word, rest) = request.text()?.split_once(' ').unwrap_or(("", ""));
    let text = match word {
        "join" => {
            tea.join(&here)?;
            tea.send_except(&here, "came")?.to_string()
        }
        "leave" => {
            tea.leave(&here)?;
            tea.send("left")?.to_string()
        }
        "bytes" => tea.send_bytes(b"\xff", None)?.to_string(),
        "to" => context.connection(rest).send("psst").map(|()| "".into())?,
        "close" => context
            .connection(rest)
            .close(4000, "go & rest")
            .map(|()| "".into())?,
        "gone" => match context.connection(rest).send_bytes("x") {
            Err(CallError::Gone) => "gone".to_string(),
            other => format!("{:?}", other),
        },
        "who" => {
            let members = tea.members(1)?;
            let (id, sub) = (&members[0]["connectionId"], &members[0]["claims"]["sub"]);
            format!("{} {} {} {}", tea.size()?, members.len(), id, sub)
        }
        _ => format!("{} {:?}", here.show()?["groups"], request.groups()),
    };
    Ok(Response::text(200, text))
}

fn said(message: &str, groups: &[&str]) -> Event {
    Event::websocket("$default", message)
        .groups(groups)
        .other("c-2", &["a / tea"], r#"{"sub":"ada"}"#)
        .other("c-3", &[], "{}")
}

/// As a function call, and against the stand-in.
fn each_way(event: Event, check: impl Fn(&Answer, Vec<Pushed>)) {
    let answer = call(&room, event.clone()).unwrap();
    check(&answer, answer.pushed.clone());
    let gateway = Gateway::start(room, 1);
    let answer = gateway.call(event);
    check(&answer, gateway.pushed());
}

fn pushed(connection: &str, body: impl Into<Vec<u8>>) -> Pushed {
    Pushed {
        connection: connection.to_string(),
        body: body.into(),
        binary: false,
        closed: None,
    }
}

#[test]
fn a_group_is_told_who_came_and_who_left() {
    each_way(said("join it", &[]), |a, all| {
        assert_eq!((a.text().as_ref(), all), ("1", vec![pushed("c-2", "came")]));
    });
    each_way(said("leave it", &["a / tea"]), |a, all| {
        assert_eq!((a.text().as_ref(), all), ("1", vec![pushed("c-2", "left")]));
    });
}

#[test]
fn bytes_go_to_all() {
    each_way(said("bytes ", &["a / tea"]), |a, all| {
        assert_eq!((a.text().as_ref(), all.len()), ("2", 2));
        assert!(all.iter().all(|p| p.binary && p.body == b"\xff"));
    });
}

#[test]
fn any_connection_can_be_sent_to_and_closed() {
    each_way(said("to c-3", &[]), |_, all| {
        assert_eq!(all, vec![pushed("c-3", "psst")]);
    });
    each_way(said("close c-3", &[]), |_, all| {
        let closed = Some(4000);
        assert_eq!(
            all,
            vec![Pushed {
                closed,
                ..pushed("c-3", "go & rest")
            }]
        );
    });
}

#[test]
fn who_is_there() {
    each_way(said("who is", &["a / tea"]), |a, _| {
        assert_eq!(a.text(), r#"2 1 "c-2" "ada""#);
    });
    each_way(said("show", &["a / tea", "b,c"]), |a, _| {
        assert_eq!(a.text(), r#"["a / tea","b,c"] ["a / tea", "b,c"]"#);
    });
}

#[test]
fn nobody_is_there() {
    each_way(said("gone c-4", &[]), |a, _| assert_eq!(a.text(), "gone"));
    let ended = Event::websocket("$disconnect", "gone c-1");
    each_way(ended, |a, _| assert_eq!(a.text(), "gone"));
    let failed = Gateway::start(room, 1).call(said("to nobody", &[]));
    assert!(failed.failure.is_some() && failed.text().contains("no such connection"));
}
