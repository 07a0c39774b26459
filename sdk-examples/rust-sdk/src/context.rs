use crate::connection::{Caller, Connection, Group};
use crate::queue::{Queue, Way};
use crate::wire::Address;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long an event may take, and whether anybody still waits for its answer. Clones are of the same event.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    id: String,
    way: Way,
    deadline: Option<SystemTime>,
    cancelled: Mutex<bool>,
    told: Condvar,
}

impl Context {
    pub(crate) fn new(id: &str, address: &Address, deadline_ms: Option<u64>) -> Context {
        Context::with(id, Way::Gateway(address.clone()), deadline_ms)
    }

    pub(crate) fn with(id: &str, way: Way, deadline_ms: Option<u64>) -> Context {
        let deadline = deadline_ms.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
        Context {
            inner: Arc::new(Inner {
                id: id.to_string(),
                way,
                deadline,
                cancelled: Mutex::new(false),
                told: Condvar::new(),
            }),
        }
    }

    /// When the gateway stops waiting for the answer.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.inner.deadline
    }

    /// What is left until the deadline; `None` when there is none.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.inner.deadline?;
        Some(
            deadline
                .duration_since(SystemTime::now())
                .unwrap_or_default(),
        )
    }

    /// A queue of the blueprint, to send to. What is sent there gives up at this event's deadline.
    pub fn queue(&self, name: impl Into<String>) -> Queue {
        let id = Some(self.inner.id.clone());
        Queue::of(name.into(), self.inner.way.clone(), id, self.inner.deadline)
    }

    /// A WebSocket connection: the event's own is `context.connection(request.connection())`. What is asked of it gives
    /// up at this event's deadline.
    pub fn connection(&self, id: impl Into<String>) -> Connection {
        Connection::of(id.into(), self.caller())
    }

    /// A group of WebSocket connections; as with [`Context::connection`].
    pub fn group(&self, name: impl Into<String>) -> Group {
        Group::of(name.into(), self.caller())
    }

    fn caller(&self) -> Caller {
        Caller {
            way: self.inner.way.clone(),
            deadline: self.inner.deadline,
        }
    }

    /// True once nobody waits for the answer any more: the client left, the deadline passed, or the gateway is gone.
    pub fn is_cancelled(&self) -> bool {
        *self.lock() || self.remaining() == Some(Duration::ZERO)
    }

    /// Sleeps, but not beyond a cancellation; true when there is one.
    pub fn sleep(&self, duration: Duration) -> bool {
        let wait = self.remaining().map_or(duration, |left| left.min(duration));
        let end = Instant::now() + wait;
        let mut cancelled = self.lock();
        while !*cancelled {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            cancelled = self
                .inner
                .told
                .wait_timeout(cancelled, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
        drop(cancelled);
        self.is_cancelled()
    }

    pub(crate) fn cancel(&self) {
        *self.lock() = true;
        self.inner.told.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.inner
            .cancelled
            .lock()
            .unwrap_or_else(|e| e.into_inner())
    }
}
