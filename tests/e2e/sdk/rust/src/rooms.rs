//! What test_sdk_websocket.py asks of a handler.

use execgate::{CallError, Context, Error, Request, Response};

pub fn handle(request: Request, context: Context) -> Result<Response, Error> {
    if request.trigger() == "websocket" {
        let groups = request.groups();
        let list = groups.join(" ");
        let text = format!(
            "groups {} [{}] of {}",
            groups.len(),
            list,
            request.connection()
        );
        return Ok(Response::text(200, text));
    }
    if request.parameter("what").as_deref() == Some("hold") {
        let group = request.query("group").unwrap_or_default();
        return Ok(Response::event_stream(
            "data: hello\n\n",
            &[&group, "others"],
        ));
    }
    match did(&request, &context) {
        Err(CallError::Gone) => Ok(Response::text(200, "gone")),
        done => Ok(Response::text(200, done?)),
    }
}

fn did(request: &Request, context: &Context) -> Result<String, CallError> {
    let connection = context.connection(request.query("id").unwrap_or_default());
    let group = context.group(request.query("group").unwrap_or_default());
    let body = String::from_utf8_lossy(request.body());
    let except = Some(&connection).filter(|c| !c.id().is_empty());
    let mut sent = 0;
    match request.parameter("what").as_deref().unwrap_or("") {
        "send" => connection.send(body)?,
        "send-bytes" => connection.send_bytes(request.body())?,
        "close" => connection.close(4321, &body)?,
        "show" => {
            let shown = connection.show()?;
            let groups = shown["groups"].as_list().map_or(0, <[_]>::len);
            return Ok(format!(
                "{} {}",
                shown["path"].as_str().unwrap_or(""),
                groups
            ));
        }
        "join" => group.join(&connection)?,
        "leave" => group.leave(&connection)?,
        "all" => {
            sent = match except {
                Some(one) => group.send_except(one, body)?,
                None => group.send(body)?,
            }
        }
        "all-bytes" => sent = group.send_bytes(request.body(), except)?,
        "size" => sent = group.size()?,
        _ => {
            let members = group.members(2)?;
            let ids = members
                .iter()
                .map(|m| m["connectionId"].as_str().unwrap_or("").to_string() + " ");
            return Ok(ids.collect());
        }
    }
    Ok(format!("done {}", sent))
}
