use std::os::unix::io::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::sync::Arc;

/// Asks a [`crate::Server`] to end as SIGTERM does: it takes no more, answers what it holds, and returns.
///
/// The connection that waits for events is shut down for writing. The gateway takes that as "wants no more", and an
/// event that it has given at the same moment still arrives. A signal handler may do no more than this.
#[derive(Clone, Default)]
pub struct Stopper {
    inner: Arc<Inner>,
}

struct Inner {
    asked: AtomicBool,
    poll: AtomicI32,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            asked: AtomicBool::new(false),
            poll: AtomicI32::new(-1),
        }
    }
}

const SIGTERM: i32 = 15;
const SHUT_WR: i32 = 1;

// The standard library links the C library but has no names for these two.
extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn shutdown(fd: i32, how: i32) -> i32;
}

static SIGNALLED: AtomicPtr<Inner> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn on_signal(_number: i32) {
    let inner = SIGNALLED.load(Ordering::SeqCst);
    // Safety: it points to what was leaked in watch_sigterm, or nowhere.
    if let Some(inner) = unsafe { inner.as_ref() } {
        inner.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.asked.store(true, Ordering::SeqCst);
        let fd = self.poll.load(Ordering::SeqCst);
        if fd >= 0 {
            // Safety: the descriptor is open as long as it is named here.
            unsafe { shutdown(fd, SHUT_WR) };
        }
    }
}

impl Stopper {
    /// Asks; returns at once.
    pub fn stop(&self) {
        self.inner.stop();
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.inner.asked.load(Ordering::SeqCst)
    }

    /// Names the connection that waits for events, -1 for none. True when the end was asked for before.
    pub(crate) fn waits_on(&self, fd: RawFd) -> bool {
        self.inner.poll.store(fd, Ordering::SeqCst);
        self.is_asked()
    }

    pub(crate) fn watch_sigterm(&self) {
        let leaked = Arc::into_raw(self.inner.clone()) as *mut Inner;
        SIGNALLED.store(leaked, Ordering::SeqCst);
        // Safety: the handler only loads and stores atomics and calls shutdown(2).
        unsafe { signal(SIGTERM, on_signal) };
    }
}
