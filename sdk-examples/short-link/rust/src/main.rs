//! Short links, on the SDK in ../../rust-sdk.
//!
//!     POST /links           {"url": "https://..."} in; 201 and a code out
//!     GET  /links/{code}    the link and how often it was followed
//!     GET  /{code}          302 to the URL

mod store;

use execgate::json::Json;
use execgate::{Context, Error, Request, Response};
use std::sync::Mutex;
use store::{Link, Store};

const LONGEST: usize = 2000;

/// The mutex is among the threads of this process; the file's lock is among processes.
struct Service {
    store: Mutex<Store>,
}

impl Service {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        let code = request.parameter("code").unwrap_or_default();
        let mut store = self.store.lock().unwrap();
        match (request.route(), request.method()) {
            ("POST /links", _) => create(&mut store, &request),
            ("GET /links/{code}", _) => Ok(store.find(&code)?.map_or_else(unknown, show)),
            // Who asks about a link does not follow it.
            (_, "HEAD") => Ok(store.find(&code)?.map_or_else(unknown, lead)),
            _ => Ok(store.follow(&code)?.map_or_else(unknown, lead)),
        }
    }
}

fn create(store: &mut Store, request: &Request) -> Result<Response, Error> {
    let url = match request.json().ok().and_then(wanted_url) {
        Some(url) => url,
        None => {
            return Ok(problem(
                400,
                "Send an object with an http or https url of at most 2000 characters",
            ))
        }
    };
    let made = store.create(&url)?;
    // An event "link created" would be sent to a queue here, once the link is safe and before the client hears of it.
    Ok(Response::json(201, made.json()).header("Location", format!("/{}", made.code)))
}

fn show(link: Link) -> Response {
    Response::json(200, link.json())
}

/// Not to be stored anywhere: each visit is to be counted.
fn lead(link: Link) -> Response {
    Response::new(302)
        .header("Location", link.url)
        .header("Cache-Control", "no-store")
}

fn unknown() -> Response {
    problem(404, "There is no such link")
}

fn problem(status: u16, title: &str) -> Response {
    let text = Json::object([
        ("status", Json::from(u32::from(status))),
        ("title", Json::from(title)),
    ]);
    Response::new(status)
        .header("Content-Type", "application/problem+json")
        .body(format!("{}\n", text))
}

/// The URL of a body that asks for a link.
fn wanted_url(body: Json) -> Option<String> {
    let url = match &body {
        Json::Object(members) if members.len() == 1 => body.get("url")?.as_str()?,
        _ => return None,
    };
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let plain = url.bytes().all(|c| c.is_ascii_graphic());
    (plain && !rest.is_empty() && url.len() <= LONGEST).then(|| url.to_string())
}

fn main() -> std::io::Result<()> {
    let file = std::env::var("LINKS_FILE").unwrap_or_default();
    let service = Service {
        store: Mutex::new(Store::open(&file)?),
    };
    execgate::serve(|request: Request, _: Context| service.handle(request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use execgate::testing::{call, Event};

    #[test]
    fn a_link_is_known_to_every_process() {
        let path = std::env::temp_dir().join(format!("short-link-{}.log", std::process::id()));
        let open = || Service {
            store: Mutex::new(Store::open(path.to_str().unwrap()).unwrap()),
        };
        let (first, second) = (open(), open());
        let made = first
            .store
            .lock()
            .unwrap()
            .create("https://a.example/?b=c")
            .unwrap();
        let event = Event::get(&format!("/{}", made.code)).parameter("code", &made.code);
        let led = call(
            &|request: Request, _: Context| second.handle(request),
            event,
        )
        .unwrap();
        assert_eq!(
            (led.status, led.header("Location")),
            (302, Some("https://a.example/?b=c"))
        );
        assert_eq!(
            first
                .store
                .lock()
                .unwrap()
                .find(&made.code)
                .unwrap()
                .unwrap()
                .hits,
            1
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_url() {
        for body in [
            "{}",
            "[]",
            r#"{"url":"ftp://a"}"#,
            r#"{"url":"http://"}"#,
            r#"{"url":"http://a b"}"#,
            r#"{"url":"http://a","more":"b"}"#,
        ] {
            assert_eq!(wanted_url(Json::parse(body).unwrap()), None, "{}", body);
        }
    }
}
