//! Tests of handlers without a gateway.
//!
//! [`call`] hands one event to a handler, as a function call:
//!
//! ```
//! use execgate::testing::{call, Event};
//! use execgate::{Context, Error, Request, Response};
//!
//! fn greet(request: Request, _context: Context) -> Result<Response, Error> {
//!     Ok(Response::text(200, format!("Hello, {}!", request.text()?)))
//! }
//!
//! let answer = call(&greet, Event::post("/greetings", "you")).unwrap();
//! assert_eq!((answer.status, answer.text().as_ref()), (200, "Hello, you!"));
//! ```
//!
//! [`Gateway`] serves a handler as [`crate::serve`] does, against a small stand-in for execgate on a Unix socket, with
//! concurrency, cancellation, streams and drain.

pub use crate::connected::Pushed;
pub use crate::outbox::Posted;

use crate::connected::{Connections, Opened};
use crate::connection::Body;
use crate::json::Json;
use crate::outbox::{read_list, Outbox};
use crate::queue::Way;
use crate::request::percent_encode;
use crate::stream::Stream;
use crate::{Context, Error, Handler, Message, Request, Response, Server, Stopper};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static NUMBER: AtomicU64 = AtomicU64::new(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent to a handler.
#[derive(Clone, Debug)]
pub struct Event {
    method: String,
    target: String,
    trigger: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
    others: Vec<Opened>,
}

impl Event {
    /// An http event without a body.
    pub fn new(method: &str, target: &str) -> Event {
        Event {
            method: method.to_string(),
            target: target.to_string(),
            trigger: "http".to_string(),
            fields: Vec::new(),
            body: Vec::new(),
            timeout: None,
            others: Vec::new(),
        }
    }

    /// `GET target`
    pub fn get(target: &str) -> Event {
        Event::new("GET", target)
    }

    /// `POST target` with a body
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Event {
        Event::new("POST", target).body(body)
    }

    /// Another kind of event: `invoke`, `queue`, `schedule`.
    pub fn trigger(mut self, kind: &str) -> Event {
        self.trigger = kind.to_string();
        self
    }

    /// Adds a field of the client's.
    pub fn header(mut self, name: &str, value: &str) -> Event {
        self.fields.push((name.to_string(), value.to_string()));
        self
    }

    /// Sets a parameter of the route. Its value is sent as it is: letters, digits, or percent-encoded.
    pub fn parameter(self, name: &str, value: &str) -> Event {
        self.header("Execgate-Parameters", &format!("{}={}", name, value))
    }

    /// Sets who sends it, a JSON object.
    pub fn claims(self, json: &str) -> Event {
        self.header("Execgate-Claims", json)
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Event {
        self.body = body.into();
        self
    }

    /// Sets how long it may take.
    pub fn timeout(mut self, timeout: Duration) -> Event {
        self.timeout = Some(timeout);
        self
    }

    /// An event of a queue with these messages. Those without an id are given one, those without a receive count come for
    /// the first time.
    pub fn messages(queue: &str, messages: impl IntoIterator<Item = Message>) -> Event {
        let mut body = Vec::new();
        for message in messages {
            append_message(&mut body, queue, &message);
        }
        Event::post(&format!("/queue/{}", queue), body)
            .trigger("queue")
            .header("Content-Type", "application/http")
    }

    /// An event of the WebSocket connection `c-1`. The route is `$connect`, `$disconnect`, `$default` or a name.
    pub fn websocket(route: &str, message: &str) -> Event {
        Event::post(&format!("/websocket/ws/{}", route), message)
            .trigger("websocket")
            .header("Execgate-Connection-Id", "c-1")
            .header("Execgate-Websocket-Route", route)
    }

    /// Sets the groups that its connection is in.
    pub fn groups(self, names: &[&str]) -> Event {
        let list: Vec<String> = names.iter().map(|name| percent_encode(name)).collect();
        self.header("Execgate-Groups", &list.join(","))
    }

    /// Adds another connection that is open: its id, groups, and who it is, a JSON object.
    pub fn other(mut self, id: &str, groups: &[&str], claims: &str) -> Event {
        self.others.push(Opened {
            id: id.to_string(),
            groups: groups.iter().map(|name| name.to_string()).collect(),
            claims: Json::parse(claims).unwrap_or(Json::Null),
        });
        self
    }

    /// Opens what it names; a connection that has ended is not open.
    fn open(&self, message: &[u8], open: &mut Connections) {
        for one in &self.others {
            open.add(one.clone());
        }
        let (request, _) = match Request::read(message) {
            Some(read) if !read.0.connection().is_empty() => read,
            _ => return,
        };
        open.remove(request.connection());
        if request.header("Execgate-Websocket-Route") != Some("$disconnect") {
            open.add(Opened {
                id: request.connection().to_string(),
                groups: request.groups(),
                claims: request.claims().unwrap_or(Json::Null),
            });
        }
    }

    fn message(&self, id: &str) -> Vec<u8> {
        let path = self.target.split('?').next().unwrap_or("");
        let mut text = format!(
            "{} {} HTTP/1.1\r\nExecgate-Invocation-Id: {}\r\nExecgate-Trigger: {}\r\nExecgate-Route: {} {}\r\nExecgate-Request-Id: {}\r\n",
            self.method, self.target, id, self.trigger, self.method, path, id
        );
        if let Some(timeout) = self.timeout {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            text += &format!("Execgate-Deadline: {}\r\n", (now + timeout).as_millis());
        }
        for (name, value) in &self.fields {
            text += &format!("{}: {}\r\n", name, value);
        }
        text += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        let mut message = text.into_bytes();
        message.extend_from_slice(&self.body);
        message
    }
}

fn append_message(out: &mut Vec<u8>, queue: &str, message: &Message) {
    let id = Some(message.id.clone()).filter(|id| !id.is_empty());
    let sent = message.sent.unwrap_or_else(SystemTime::now);
    let attributes: Vec<String> = message
        .attributes
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    let mut head = format!(
        "POST /queue/{} HTTP/1.1\r\nQueue-Message-Id: {}\r\nQueue-Receive-Count: {}\r\nQueue-Sent: {}\r\n",
        queue,
        id.unwrap_or_else(new_id),
        message.receive_count.max(1),
        sent.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
    );
    for (name, value) in [
        ("Queue-Group-Id", percent_encode(&message.group)),
        ("Queue-Dedup-Id", percent_encode(&message.dedup)),
        ("Queue-Attributes", attributes.join("&")),
        ("Content-Type", message.content_type.clone()),
    ] {
        if !value.is_empty() {
            head += &format!("{}: {}\r\n", name, value);
        }
    }
    head += &format!("Content-Length: {}\r\n\r\n", message.body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&message.body);
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, as the handler gave them.
    pub fields: Vec<(String, String)>,
    /// The body; the error's text when the handler failed.
    pub body: Vec<u8>,
    /// The error's type when the handler failed.
    pub failure: Option<String>,
    /// From [`call`]: the messages that the handler has sent.
    pub posted: Vec<Posted>,
    /// From [`call`]: what it has sent to WebSocket connections.
    pub pushed: Vec<Pushed>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// A field's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

pub(crate) fn new_id() -> String {
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    format!("00000000-0000-4000-8000-{:012x}", number)
}

/// Hands an event to a handler, here and now. Its error is returned, a panic goes on, a stream is gathered.
pub fn call(handler: &impl Handler, event: Event) -> Result<Answer, Error> {
    let message = event.message(&new_id());
    let (request, _) = Request::read(&message)
        .ok_or_else(|| Error::new("InvalidEvent", "this is no request message"))?;
    let (out, posted) = channel();
    let open = Arc::new(Mutex::new(Connections::default()));
    event.open(&message, &mut locked(&open));
    let way = Way::Test {
        out,
        open: open.clone(),
    };
    let context = Context::with(request.id(), way, request.deadline_ms());
    let response = handler.handle(request, context)?;
    response.append(&mut Vec::new(), "")?;
    let mut answer = gather(response)?;
    let posted = posted.try_iter();
    answer.posted = posted
        .map(|(queue, with_answer, message)| Posted {
            queue,
            with_answer,
            message,
        })
        .collect();
    answer.pushed = locked(&open).pushed.clone();
    Ok(answer)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn gather(response: Response) -> Result<Answer, Error> {
    let mut body = response.body;
    if let Some(producer) = response.producer {
        let mut stream = Stream::memory();
        producer(&mut stream)?;
        body.extend(stream.into_memory());
    }
    Ok(Answer {
        status: response.status,
        fields: response.fields,
        body,
        failure: None,
        posted: Vec::new(),
        pushed: Vec::new(),
    })
}

/// Stands in for execgate: speaks as much of the runtime API as a handler needs.
pub struct Gateway {
    api: Arc<Api>,
    folder: PathBuf,
    stopper: Stopper,
    server: Option<JoinHandle<io::Result<()>>>,
}

/// An event on its way.
pub struct Sent {
    /// Of the invocation.
    pub id: String,
    answer: Receiver<Answer>,
}

impl Sent {
    /// Waits for the answer. Panics when none comes for a minute.
    pub fn wait(&self) -> Answer {
        self.answer
            .recv_timeout(PATIENCE)
            .expect("no answer within a minute")
    }
}

struct Api {
    concurrency: usize,
    state: Mutex<ApiState>,
    changed: Condvar,
}

#[derive(Default)]
struct ApiState {
    queue: VecDeque<Vec<u8>>,
    held: HashMap<String, Sender<Answer>>,
    running: usize,
    cancelled: Vec<String>,
    refused: Vec<String>,
    exchanges: usize,
    draining: bool,
    outbox: Outbox,
    open: Connections,
}

impl Gateway {
    /// Serves the handler with so many events at once, until the drop.
    pub fn start(handler: impl Handler + Send + 'static, concurrency: usize) -> Gateway {
        let name = format!(
            "execgate-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::SeqCst)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for the socket");
        let socket = folder.join("api.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let api = Arc::new(Api {
            concurrency,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = api.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let api = accepting.clone();
                // A connection that breaks is the handler's end.
                std::thread::spawn(move || api.serve(stream));
            }
        });
        let server = Server::new()
            .socket(socket.to_string_lossy())
            .concurrency(concurrency);
        let stopper = server.stopper();
        Gateway {
            api,
            folder,
            stopper,
            server: Some(std::thread::spawn(move || server.run(handler))),
        }
    }

    /// Sends an event and does not wait.
    pub fn send(&self, event: Event) -> Sent {
        let (id, (sender, answer)) = (new_id(), channel());
        let message = event.message(&id);
        self.api.change(|state| {
            event.open(&message, &mut state.open);
            state.queue.push_back(message);
            state.held.insert(id.clone(), sender);
        });
        Sent { id, answer }
    }

    /// Sends an event and waits for the answer.
    pub fn call(&self, event: Event) -> Answer {
        self.send(event).wait()
    }

    /// Tells the handler that nobody waits for this answer any more.
    pub fn cancel(&self, sent: &Sent) {
        self.api
            .change(|state| state.cancelled.push(sent.id.clone()));
    }

    /// What the handler has sent to queues so far: at once, and with answers that were successes.
    pub fn posted(&self) -> Vec<Posted> {
        self.api.lock().outbox.kept.clone()
    }

    /// What the handler has sent to WebSocket connections so far.
    pub fn pushed(&self) -> Vec<Pushed> {
        self.api.lock().open.pushed.clone()
    }

    /// Makes every further send fail with this status; 0 accepts again.
    pub fn refuse_sends(&self, status: u16) {
        self.api.change(|state| state.outbox.refusal = status);
    }

    /// Makes every further send wait for an answer that never comes.
    pub fn stall_sends(&self) {
        self.api.change(|state| state.outbox.stalled = true);
    }

    /// Tells the handler that no more comes.
    pub fn drain(&self) {
        self.api.change(|state| state.draining = true);
    }

    /// Does what SIGTERM does.
    pub fn terminate(&self) {
        self.stopper.stop();
    }

    /// How many exchanges the handler has made.
    pub fn exchanges(&self) -> usize {
        self.api.lock().exchanges
    }

    /// Waits until the handler has ended; what [`Server::run`] returned.
    pub fn wait(mut self) -> io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        let server = self.server.take();
        server.map_or(Ok(()), |server| {
            server.join().unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::Other, "the server panicked"))
            })
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.drain();
        let _ = self.join();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) type Fields = HashMap<String, String>;

impl Api {
    fn lock(&self) -> MutexGuard<'_, ApiState> {
        locked(&self.state)
    }

    fn change(&self, f: impl FnOnce(&mut ApiState)) {
        f(&mut self.lock());
        self.changed.notify_all();
    }

    /// One connection, until it ends.
    fn serve(&self, stream: UnixStream) -> io::Result<()> {
        let mut input = BufReader::new(stream);
        loop {
            let (start, fields) = read_head(&mut input)?;
            let mut words = start.split(' ').nth(1).unwrap_or("").split('/').skip(2);
            let reply = match (words.next(), words.next(), words.next()) {
                (Some("invocations"), Some(id), Some("response")) => {
                    self.streamed(&mut input, id)?
                }
                (Some("queues"), Some(queue), Some("messages")) => {
                    let body = read_body(&mut input, &fields)?;
                    match self.post(queue, &fields, &body)? {
                        Some(reply) => reply,
                        // A send that stalls ends when its sender does.
                        None => return input.read(&mut [0]).map(|_| ()),
                    }
                }
                (Some(exchange), None, None) if exchange.starts_with("exchange?max=") => {
                    let max = exchange["exchange?max=".len()..]
                        .parse()
                        .map_err(|_| broken("max"))?;
                    let answers = read_body(&mut input, &fields)?;
                    self.take_answers(&answers)?;
                    self.exchange(max, input.get_ref())
                }
                (Some(word), ..) if word.starts_with("connections") || word == "groups" => {
                    let body = read_body(&mut input, &fields)?;
                    self.connected(&start, &fields, &body)
                }
                _ => return Err(broken(&start)),
            };
            input.get_mut().write_all(&reply)?;
        }
    }

    /// `None` when nothing is to be answered.
    fn post(&self, queue: &str, fields: &Fields, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let messages = read_list(fields, body)?;
        let id = fields.get("execgate-invocation-id").map(String::as_str);
        let mut state = self.lock();
        if state.outbox.stalled {
            return Ok(None);
        }
        let is_known = id.map_or(true, |id| state.held.contains_key(id));
        let refusal = if is_known { state.outbox.refusal } else { 404 };
        let (status, text) = match refusal {
            0 => (202, state.outbox.post(queue, id, messages).to_string()),
            status => (status, r#"{"detail":"as the test says"}"#.to_string()),
        };
        let head = format!(
            "HTTP/1.1 {} \r\nContent-Length: {}\r\n\r\n",
            status,
            text.len()
        );
        Ok(Some((head + &text).into_bytes()))
    }

    fn connected(&self, start: &str, fields: &Fields, body: &[u8]) -> Vec<u8> {
        let mut words = start.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let text = std::str::from_utf8(body);
        let is_bytes =
            fields.get("content-type").map(String::as_str) == Some("application/octet-stream");
        let sent = match text {
            Ok(text) if !is_bytes => Body::Text(text),
            _ => Body::Bytes(body),
        };
        let (status, told) = self.lock().open.serve(method, target, sent);
        let length = if status == 204 { 0 } else { told.len() };
        let head = format!("HTTP/1.1 {} \r\nContent-Length: {}\r\n\r\n", status, length);
        (head + &told[..length]).into_bytes()
    }

    fn exchange(&self, max: usize, stream: &UnixStream) -> Vec<u8> {
        let mut state = self.lock();
        loop {
            let reply = state.give(max, self.concurrency);
            if let Some(reply) = reply {
                return reply;
            }
            // A client that has said that it says no more wants no more.
            let _ = stream.set_nonblocking(true);
            let ended = matches!((&mut &*stream).read(&mut [0]), Ok(0));
            let _ = stream.set_nonblocking(false);
            if ended {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return Vec::new();
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(5));
            state = waited.unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    fn take_answers(&self, mut pipeline: &[u8]) -> io::Result<()> {
        while !pipeline.is_empty() {
            let (start, fields) = read_head(&mut pipeline)?;
            let body = read_body(&mut pipeline, &fields)?;
            self.complete(&start, fields, body, None);
        }
        Ok(())
    }

    fn streamed(&self, input: &mut impl BufRead, id: &str) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let size =
                usize::from_str_radix(&read_line(input)?, 16).map_err(|_| broken("chunk"))?;
            if size == 0 {
                break;
            }
            let mut chunk = vec![0; size];
            input.read_exact(&mut chunk)?;
            message.extend(chunk);
            read_line(input)?;
        }
        let trailer = read_fields(input)?;
        let mut rest = &message[..];
        let (start, fields) = read_head(&mut rest)?;
        if fields.get("execgate-invocation-id").map(String::as_str) != Some(id) {
            return Err(broken("id"));
        }
        self.complete(
            &start,
            fields,
            rest.to_vec(),
            trailer.get("execgate-error").cloned(),
        );
        Ok(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec())
    }

    fn complete(&self, start: &str, fields: Fields, body: Vec<u8>, failure: Option<String>) {
        let failure = failure.or_else(|| fields.get("execgate-error").cloned());
        let id = fields
            .get("execgate-invocation-id")
            .cloned()
            .unwrap_or_default();
        let status = start
            .get(9..12)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let answer = Answer {
            status,
            fields: fields.into_iter().collect(),
            body,
            failure,
            posted: Vec::new(),
            pushed: Vec::new(),
        };
        self.change(|state| match state.held.remove(&id) {
            None => state.refused.push(id + " unknown"),
            Some(sender) => {
                state.outbox.settle(&id, answer.failure.is_none());
                state.running -= 1;
                // The test may not wait for it any more.
                let _ = sender.send(answer);
            }
        });
    }
}

impl ApiState {
    fn give(&mut self, max: usize, concurrency: usize) -> Option<Vec<u8>> {
        let (mut events, mut fields, mut given) = (Vec::new(), String::new(), 0);
        while given < max && self.running < concurrency {
            match self.queue.pop_front() {
                Some(event) => events.extend(event),
                None => break,
            }
            self.running += 1;
            given += 1;
        }
        for (name, list) in [
            ("Cancelled", &mut self.cancelled),
            ("Refused", &mut self.refused),
        ] {
            if !list.is_empty() {
                fields += &format!("Execgate-{}: {}\r\n", name, list.join(", "));
                list.clear();
            }
        }
        if self.draining && self.queue.is_empty() && events.is_empty() {
            fields += "Execgate-Drain: true\r\n";
        }
        if events.is_empty() && fields.is_empty() && max > 0 {
            return None;
        }
        self.exchanges += 1;
        let head = format!(
            "HTTP/1.1 200 OK\r\n{}Content-Length: {}\r\n\r\n",
            fields,
            events.len()
        );
        Some([head.into_bytes(), events].concat())
    }
}

pub(crate) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\r\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn read_fields(input: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Fields::new();
    loop {
        let line = read_line(input)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
        fields.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
}

fn read_head(input: &mut impl BufRead) -> io::Result<(String, Fields)> {
    Ok((read_line(input)?, read_fields(input)?))
}

fn read_body(input: &mut impl Read, fields: &Fields) -> io::Result<Vec<u8>> {
    let length = fields
        .get("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.ok_or_else(|| broken("a message without Content-Length"))?];
    input.read_exact(&mut body)?;
    Ok(body)
}
