//! Short links, on the SDK in ../../rust-sdk.
//!
//!     POST /links           {"url": "https://..."} in; 201 and a code out
//!     GET  /links/{code}    the link and how often it was followed
//!     GET  /{code}          302 to the URL
//!     GET  /hosts           how many links lead to each host
//!
//! The counts are those of messages: each link that is made goes to the queue `created`, which a process of this program
//! takes for itself.

mod store;

use execgate::json::Json;
use execgate::{each_message, Context, Error, Handler, Message, Request, Response};
use std::sync::Mutex;
use store::{Link, Store};

const LONGEST: usize = 2000;

/// The mutexes are among the threads of this process; the files' locks are among processes.
struct Service {
    store: Mutex<Store>,
    hosts: Mutex<Store>,
}

impl Service {
    fn handle(&self, request: Request, context: Context) -> Result<Response, Error> {
        if request.trigger() == "queue" {
            return each_message(|m: &Message, _: &Context| self.count(m)).handle(request, context);
        }
        if request.route() == "GET /hosts" {
            return self.tally();
        }
        let code = request.parameter("code").unwrap_or_default();
        let mut store = self.store.lock().unwrap();
        match (request.route(), request.method()) {
            ("POST /links", _) => create(&mut store, &request, &context),
            ("GET /links/{code}", _) => Ok(store.find(&code)?.map_or_else(unknown, show)),
            // Who asks about a link does not follow it.
            (_, "HEAD") => Ok(store.find(&code)?.map_or_else(unknown, lead)),
            _ => Ok(store.follow(&code)?.map_or_else(unknown, lead)),
        }
    }

    /// A message may come twice: a link is counted once.
    fn count(&self, message: &Message) -> Result<(), Error> {
        let code = message.get("code").unwrap_or_default();
        let mut hosts = self.hosts.lock().unwrap();
        Ok(hosts.count(code, host_of(message.text()?))?)
    }

    fn tally(&self) -> Result<Response, Error> {
        let counts = self.hosts.lock().unwrap().tally()?;
        Ok(Response::json(200, format!("{}\n", counts)))
    }
}

fn create(store: &mut Store, request: &Request, context: &Context) -> Result<Response, Error> {
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
    // The message is kept before the client hears of the link, and not at all when the client hears of a failure.
    let message = Message::new(url)
        .content_type("text/plain")
        .attribute("code", &made.code);
    context.queue("created").send_with_answer([message])?;
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

/// What stands between the scheme and the path, "-" when nothing does.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(&['/', '?', '#'][..]).next().unwrap_or_default();
    Some(host).filter(|host| !host.is_empty()).unwrap_or("-")
}

/// The process that counts has no use for links.
fn open(variable: &str) -> std::io::Result<Mutex<Store>> {
    let path = std::env::var(variable).unwrap_or_else(|_| "/dev/null".to_string());
    Store::open(&path).map(Mutex::new)
}

fn main() -> std::io::Result<()> {
    let service = Service {
        store: open("LINKS_FILE")?,
        hosts: open("HOSTS_FILE")?,
    };
    execgate::serve(|request: Request, context: Context| service.handle(request, context))
}

#[cfg(test)]
mod tests {
    use super::*;
    use execgate::testing::{call, Answer, Event};

    /// Two processes on the same files, which end with the test.
    struct Pair {
        folder: std::path::PathBuf,
        first: Service,
        second: Service,
    }

    impl Pair {
        fn new(name: &str) -> Pair {
            let folder = std::env::temp_dir().join(format!("{}-{}", name, std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let store =
                |file: &str| Mutex::new(Store::open(folder.join(file).to_str().unwrap()).unwrap());
            let open = || Service {
                store: store("links.log"),
                hosts: store("hosts.log"),
            };
            let (first, second) = (open(), open());
            Pair {
                folder,
                first,
                second,
            }
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.folder).unwrap();
        }
    }

    fn ask(service: &Service, event: Event) -> Answer {
        call(
            &|request: Request, context: Context| service.handle(request, context),
            event,
        )
        .unwrap()
    }

    #[test]
    fn a_link_is_known_to_every_process() {
        let pair = Pair::new("short-link-known");
        let made = ask(
            &pair.first,
            Event::post("/links", r#"{"url":"https://a.example/?b=c"}"#),
        );
        let target = made.header("Location").unwrap().to_string();
        let led = ask(
            &pair.second,
            Event::get(&target).parameter("code", &target[1..]),
        );
        assert_eq!(
            (led.status, led.header("Location")),
            (302, Some("https://a.example/?b=c"))
        );
        let found = pair.first.store.lock().unwrap().find(&target[1..]);
        assert_eq!(found.unwrap().unwrap().hits, 1);
    }

    #[test]
    fn what_is_made_is_counted_once() {
        let pair = Pair::new("short-link-counted");
        let made = ask(
            &pair.first,
            Event::post("/links", r#"{"url":"https://a.example/b"}"#),
        );
        let sent = &made.posted[0];
        assert_eq!(
            (made.posted.len(), sent.queue.as_str(), sent.with_answer),
            (1, "created", true)
        );
        let twice = Event::messages("created", [sent.message.clone(), sent.message.clone()]);
        assert_eq!(
            ask(&pair.second, twice).text(),
            r#"{"batchItemFailures":[]}"#
        );
        assert_eq!(
            ask(&pair.first, Event::get("/hosts")).text(),
            "{\"a.example\":1}\n"
        );
    }

    #[test]
    fn hosts() {
        for (url, host) in [
            ("http://a", "a"),
            ("https://a.example:8/b", "a.example:8"),
            ("http://a?b", "a"),
            ("http://a#b/c", "a"),
            ("http:///b", "-"),
        ] {
            assert_eq!(host_of(url), host);
        }
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
