//! The threads that serve. Whoever has nothing to handle and finds nobody at the poll goes there: an exchange that
//! carries the answers that are ready and waits for events. Whoever has an answer while somebody else waits at the poll
//! carries it over a second connection, so that no answer waits for an event.
//!
//! As long as handlers are quick, one thread handles a batch and polls again, which costs no switch between threads.
//! When they are not, each event wakes the next thread. The watch sees to it that a thread which is stuck in a handler
//! that was thought to be quick holds nobody up.

use crate::stop::Stopper;
use crate::stream::Stream;
use crate::wire::{Address, Lost, Reply, Wire};
use crate::{Context, Error, Handler, Request, Response};
use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Condvar, Mutex, MutexGuard, Once};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

/// Handlers are quick when enough of them took less than this. Each that did is a point and each that did not takes
/// several, so that one which lost its processor for a while changes nothing.
const QUICK: Duration = Duration::from_micros(200);
const QUICK_FROM: usize = 32;
const QUICK_MOST: usize = 128;
const SLOW_COSTS: usize = 16;
/// How often the watch looks, and after how many looks without cause it sleeps.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS: usize = 16;
const REFUSALS: usize = 3;

pub(crate) struct Crew<'h> {
    address: Address,
    max: usize,
    handler: &'h dyn Handler,
    stopper: Stopper,
    state: Mutex<State>,
    work: Condvar,
    watch: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Request, Context)>,
    held: Vec<(String, Context)>,
    out: Vec<u8>,
    poll: Option<Wire>,
    polling: bool,
    flush: Option<Wire>,
    flushing: bool,
    threads: usize,
    idle: usize,
    running: usize,
    started: u64,
    quick: usize,
    watch_sleeps: bool,
    ended: bool,
    refusals: usize,
    failure: Option<io::Error>,
}

type Guard<'a> = MutexGuard<'a, State>;

enum Outcome {
    Answer(Response),
    Failure(Error),
    Streamed,
}

impl<'h> Crew<'h> {
    pub fn new(
        address: Address,
        max: usize,
        handler: &'h dyn Handler,
        stopper: Stopper,
    ) -> Crew<'h> {
        remember_where_it_panics();
        Crew {
            address,
            max,
            handler,
            stopper,
            state: Mutex::default(),
            work: Condvar::new(),
            watch: Condvar::new(),
        }
    }

    /// Until no more comes and everything held is answered.
    pub fn run(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.poll = Some(self.address.open()?);
        state.threads = 1;
        drop(state);
        std::thread::scope(|scope| {
            self.start("execgate-watch", scope, |scope| self.look_after(scope));
            self.serve(scope);
        });
        self.lock().failure.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn start<'s, 'e>(
        &'s self,
        name: &str,
        scope: &'s Scope<'s, 'e>,
        body: impl FnOnce(&'s Scope<'s, 'e>) + Send + 's,
    ) -> bool {
        let named = Builder::new().name(name.to_string());
        named.spawn_scoped(scope, move || body(scope)).is_ok()
    }

    /// What each thread does.
    fn serve<'s, 'e>(&'s self, scope: &'s Scope<'s, 'e>) {
        let mut state = self.lock();
        loop {
            state = if let Some((request, context)) = state.queue.pop_front() {
                self.handle(state, scope, request, context)
            } else if !state.polling && !state.ended {
                self.poll(state)
            } else if !state.out.is_empty() && !state.flushing {
                self.flush(state)
            } else if state.ended {
                break;
            } else {
                state.idle += 1;
                let mut state = self.work.wait(state).unwrap_or_else(|e| e.into_inner());
                state.idle -= 1;
                state
            };
        }
        state.threads -= 1;
        self.work.notify_all();
        self.watch.notify_one();
    }

    // --- handling ---

    fn handle<'s, 'e>(
        &'s self,
        mut state: Guard<'s>,
        scope: &'s Scope<'s, 'e>,
        request: Request,
        context: Context,
    ) -> Guard<'s> {
        state.started += 1;
        state.running += 1;
        if state.quick < QUICK_FROM {
            self.wake_another(&mut state, scope);
        } else if state.watch_sleeps {
            state.watch_sleeps = false;
            self.watch.notify_one();
        }
        drop(state);
        let id = request.id().to_string();
        let began = Instant::now();
        let outcome = self.outcome(&id, request, &context);
        let was_quick = began.elapsed() < QUICK;
        let mut state = self.lock();
        state.running -= 1;
        state.quick = if was_quick {
            QUICK_MOST.min(state.quick + 1)
        } else {
            state.quick.saturating_sub(SLOW_COSTS)
        };
        state.held.retain(|(held, _)| *held != id);
        outcome.append(&mut state.out, &id);
        state
    }

    /// For what is left to do: further events, or the poll.
    fn wake_another<'s, 'e>(&'s self, state: &mut Guard<'s>, scope: &'s Scope<'s, 'e>) {
        if state.queue.is_empty() && (state.polling || state.ended) {
            return;
        }
        if state.idle > 0 {
            self.work.notify_one();
        } else if state.threads <= self.max {
            state.threads += 1;
            if !self.start("execgate", scope, |scope| self.serve(scope)) {
                state.threads -= 1;
            }
        }
    }

    fn outcome(&self, id: &str, request: Request, context: &Context) -> Outcome {
        let handled = catch(|| self.handler.handle(request, context.clone()));
        match handled {
            Ok(mut response) => match response.producer.take() {
                None => Outcome::Answer(response),
                Some(producer) => self
                    .produce(id, &response, context, producer)
                    .unwrap_or_else(Outcome::Failure),
            },
            Err(e) => Outcome::Failure(e),
        }
    }

    fn produce(
        &self,
        id: &str,
        response: &Response,
        context: &Context,
        producer: impl FnOnce(&mut Stream) -> io::Result<()>,
    ) -> Result<Outcome, Error> {
        let mut stream = Stream::begin(&self.address, id, response, context)?;
        let failure = catch(|| Ok(producer(&mut stream)?)).err();
        if let Some(e) = failure.as_ref().filter(|_| !context.is_cancelled()) {
            eprintln!("execgate: stream broken off: {}: {}", e.kind(), e.message());
        }
        // The gateway closes the connection when the client has left; there is nobody to tell.
        let _ = stream.end(failure.as_ref());
        Ok(Outcome::Streamed)
    }

    // --- exchanges ---

    fn poll<'s>(&'s self, mut state: Guard<'s>) -> Guard<'s> {
        state.polling = true;
        let answers = take(&mut state.out);
        let mut wire = state.poll.take();
        drop(state);
        let result = self.exchange(&mut wire, &answers);
        let mut state = self.lock();
        state.polling = false;
        state.poll = wire;
        match result {
            Ok(reply) => self.take_in(&mut state, reply),
            Err(lost) => {
                if !lost.sent {
                    state.out.splice(0..0, answers);
                }
                state.end(None);
                if !self.stopper.is_asked() {
                    state.held.iter().for_each(|(_, context)| context.cancel());
                }
            }
        }
        if state.ended {
            self.work.notify_all();
        }
        state
    }

    /// A lost connection is renewed once.
    fn exchange(&self, wire: &mut Option<Wire>, answers: &[u8]) -> Result<Reply, Lost> {
        let unsent = |error| Lost { sent: false, error };
        let mut last = unsent(io::ErrorKind::NotConnected.into());
        for _ in 0..2 {
            let mut open = match wire.take() {
                Some(open) => open,
                None => self.address.open().map_err(unsent)?,
            };
            if self.stopper.waits_on(open.fd()) {
                self.stopper.waits_on(-1);
                return Err(unsent(io::ErrorKind::Interrupted.into()));
            }
            let result = open.exchange(answers, self.max);
            let asked = self.stopper.waits_on(-1);
            match result {
                Ok(reply) => {
                    *wire = Some(open).filter(|_| !reply.closes);
                    return Ok(reply);
                }
                Err(lost) if asked => return Err(lost),
                Err(lost) => last = lost,
            }
        }
        Err(last)
    }

    fn take_in(&self, state: &mut Guard<'_>, reply: Reply) {
        state.note(&reply);
        if reply.status != 200 {
            let text = format!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body));
            eprintln!("execgate: exchange: the gateway answered {}", text);
            state.refusals += 1;
            if state.refusals == REFUSALS {
                state.end(Some(io::Error::new(io::ErrorKind::Other, text)));
            }
            return;
        }
        state.refusals = 0;
        let mut rest = &reply.body[..];
        while !rest.is_empty() {
            match Request::read(rest) {
                Some((request, next)) => {
                    state.take(request, &self.address);
                    rest = next;
                }
                None => {
                    let text = "the gateway sent an event that is no request message";
                    state.end(Some(io::Error::new(io::ErrorKind::InvalidData, text)));
                    return;
                }
            }
        }
        if reply.drain {
            state.end(None);
        }
    }

    /// Carries answers while somebody else waits at the poll, or nobody ever will again.
    fn flush<'s>(&'s self, mut state: Guard<'s>) -> Guard<'s> {
        state.flushing = true;
        while !state.out.is_empty() {
            let answers = take(&mut state.out);
            let mut wire = state.flush.take();
            drop(state);
            let result = self.deliver(&mut wire, &answers);
            state = self.lock();
            state.flush = wire;
            match result {
                Ok(reply) => state.note(&reply),
                Err(e) => eprintln!("execgate: answers are lost: {}", e),
            }
        }
        state.flushing = false;
        state
    }

    fn deliver(&self, wire: &mut Option<Wire>, answers: &[u8]) -> io::Result<Reply> {
        let mut last = io::ErrorKind::NotConnected.into();
        for _ in 0..2 {
            let mut open = match wire.take() {
                Some(open) => open,
                None => self.address.open()?,
            };
            match open.exchange(answers, 0) {
                Ok(reply) => {
                    *wire = Some(open).filter(|_| !reply.closes);
                    return Ok(reply);
                }
                Err(lost) => last = lost.error,
            }
        }
        Err(last)
    }

    // --- the watch ---

    fn look_after<'s, 'e>(&'s self, scope: &'s Scope<'s, 'e>) {
        let (mut state, mut seen, mut calm) = (self.lock(), 0, 0);
        while state.threads > 0 {
            let needed = state.running > 0 && !state.polling && state.quick >= QUICK_FROM;
            calm = if needed { 0 } else { calm + 1 };
            if needed && seen == state.started {
                state.quick = 0;
                self.wake_another(&mut state, scope);
            }
            seen = state.started;
            state = if calm < LOOKS {
                let waited = self.watch.wait_timeout(state, LOOK);
                waited.unwrap_or_else(|e| e.into_inner()).0
            } else {
                state.watch_sleeps = true;
                calm = 0;
                self.watch.wait(state).unwrap_or_else(|e| e.into_inner())
            };
        }
    }
}

impl State {
    fn end(&mut self, failure: Option<io::Error>) {
        self.ended = true;
        self.failure = failure;
    }

    fn take(&mut self, request: Request, address: &Address) {
        let context = Context::new(request.id(), address, request.deadline_ms());
        self.held.push((request.id().to_string(), context.clone()));
        self.queue.push_back((request, context));
    }

    /// What a reply says besides events.
    fn note(&mut self, reply: &Reply) {
        if !reply.refused.is_empty() {
            eprintln!("execgate: answers refused: {}", reply.refused);
        }
        for id in reply.cancelled.split(',').map(str::trim) {
            let held = self.held.iter().find(|(held, _)| held == id);
            if let Some((_, context)) = held {
                context.cancel();
            }
        }
    }
}

impl Outcome {
    fn append(self, out: &mut Vec<u8>, id: &str) {
        let result = match self {
            Outcome::Streamed => Ok(()),
            Outcome::Failure(e) => Err(e),
            Outcome::Answer(response) => response.append(out, id),
        };
        if let Err(e) = result {
            e.append(out, id);
        }
    }
}

// --- panics ---

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The place is known to the hook alone. What the program has set as its hook is called as before.
fn remember_where_it_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place| format!(" at {}", place));
            PLACE.with(|kept| *kept.borrow_mut() = place.unwrap_or_default());
            before(info);
        }));
    });
}

fn catch<T>(f: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Err(panic_error(&*payload)))
}

fn panic_error(payload: &(dyn Any + Send)) -> Error {
    let literal = payload.downcast_ref::<&str>().map(|text| text.to_string());
    let text = literal.or_else(|| payload.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "a value that is no text".to_string());
    let place = PLACE.with(|kept| take(&mut *kept.borrow_mut()));
    Error::new("Panic", format!("panicked{}: {}", place, text))
}
