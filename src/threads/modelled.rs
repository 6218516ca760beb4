//! The model checker's primitives, with the faces that the engine uses of the real ones.
//!
//! Two things differ from real ones. Time does not pass: a wait with a limit ends early only if the run
//! has early ends to spend ([`explore`](super::explore) says how many), so that with none a wake-up that
//! is forgotten is a deadlock that is seen. And memory is sequentially consistent: what a weaker order of
//! two atomics would allow is not looked for here.
#![forbid(unsafe_code)]

use shuttle::sync;
use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::PoisonError;
use std::time::Duration;

pub use shuttle::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Hashes alike in every run: what runs alike can be repeated.
pub type RandomState = BuildHasherDefault<DefaultHasher>;

thread_local! {
    /// How many waits with a limit may still end early in this run.
    static EARLY_ENDS: Cell<u32> = const { Cell::new(0) };
}

/// Lets so many waits of this run end early.
pub(super) fn set_early_ends(count: u32) {
    EARLY_ENDS.set(count);
}

/// Whether a wait of this length ends before anything came: always if it has none, by the schedule's
/// choice while there are early ends left.
fn ends_early(limit: Duration) -> bool {
    if limit.is_zero() {
        return true;
    }
    let left = EARLY_ENDS.get();
    let ends = left > 0 && super::choose(2) == 0;
    if ends {
        EARLY_ENDS.set(left - 1);
    }
    ends
}

/// As `parking_lot::Mutex`.
#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// As `parking_lot::MutexGuard`.
pub struct MutexGuard<'a, T> {
    mutex: &'a sync::Mutex<T>,
    /// Nothing only while it is unlocked for a wait.
    locked: Option<sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// As `parking_lot::Mutex::new`.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// As `parking_lot::Mutex::lock`.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: &self.0, locked: Some(locked(&self.0)) }
    }

    /// As `parking_lot::Mutex::try_lock`.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard { mutex: &self.0, locked: Some(guard) }),
            Err(sync::TryLockError::Poisoned(guard)) => {
                Some(MutexGuard { mutex: &self.0, locked: Some(guard.into_inner()) })
            }
            Err(sync::TryLockError::WouldBlock) => None,
        }
    }

    /// As `parking_lot::Mutex::try_lock_for`.
    pub fn try_lock_for(&self, limit: Duration) -> Option<MutexGuard<'_, T>> {
        if ends_early(limit) { self.try_lock() } else { Some(self.lock()) }
    }
}

fn locked<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a, T> MutexGuard<'a, T> {
    /// As `parking_lot::MutexGuard::unlocked`.
    pub fn unlocked<U>(guard: &mut Self, work: impl FnOnce() -> U) -> U {
        drop(guard.locked.take());
        let done = work();
        guard.locked = Some(locked(guard.mutex));
        done
    }

    fn held(&mut self) -> &mut sync::MutexGuard<'a, T> {
        self.locked.as_mut().expect("a guard that is used is locked")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.locked.as_ref().expect("a guard that is used is locked")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held()
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As `parking_lot::Condvar`.
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

/// As `parking_lot::WaitTimeoutResult`.
#[derive(Clone, Copy, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether nothing came in time.
    #[must_use]
    pub const fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// As `parking_lot::Condvar::new`.
    #[must_use]
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// As `parking_lot::Condvar::wait`.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.locked.take().expect("a guard that waits is locked");
        guard.locked = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// As `parking_lot::Condvar::wait_for`.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) -> WaitTimeoutResult {
        let ends = ends_early(limit);
        if ends {
            MutexGuard::unlocked(guard, shuttle::thread::yield_now);
        } else {
            self.wait(guard);
        }
        WaitTimeoutResult(ends)
    }

    /// As `parking_lot::Condvar::notify_one`.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// As `parking_lot::Condvar::notify_all`.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// As `std::thread`.
pub mod thread {
    use std::fmt;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    pub use shuttle::thread::{Result, Thread, ThreadId, current, yield_now};

    /// As `std::thread::Builder`.
    #[derive(Debug, Default)]
    pub struct Builder(shuttle::thread::Builder);

    /// As `std::thread::JoinHandle`.
    pub struct JoinHandle<T> {
        thread: shuttle::thread::JoinHandle<T>,
        finished: Arc<AtomicBool>,
    }

    /// As `std::thread::spawn`.
    pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        Builder::new().spawn(work).expect("a modelled thread can always be made")
    }

    impl<T> fmt::Debug for JoinHandle<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("JoinHandle").finish_non_exhaustive()
        }
    }

    impl Builder {
        /// As `std::thread::Builder::new`.
        #[must_use]
        pub fn new() -> Self {
            Self(shuttle::thread::Builder::new())
        }

        /// As `std::thread::Builder::name`.
        #[must_use]
        pub fn name(self, name: String) -> Self {
            Self(self.0.name(name))
        }

        /// As `std::thread::Builder::spawn`.
        ///
        /// # Errors
        /// None: a modelled thread can always be made.
        pub fn spawn<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
            let finished = Arc::new(AtomicBool::new(false));
            let end = Arc::clone(&finished);
            let thread = self.0.spawn(move || {
                let done = work();
                end.store(true, Ordering::SeqCst);
                done
            })?;
            Ok(JoinHandle { thread, finished })
        }
    }

    impl<T> JoinHandle<T> {
        /// As `std::thread::JoinHandle::join`.
        ///
        /// # Errors
        /// What the thread panicked with.
        pub fn join(self) -> Result<T> {
            self.thread.join()
        }

        /// As `std::thread::JoinHandle::is_finished`.
        #[must_use]
        pub fn is_finished(&self) -> bool {
            self.finished.load(Ordering::SeqCst)
        }

        /// As `std::thread::JoinHandle::thread`.
        #[must_use]
        pub fn thread(&self) -> &Thread {
            self.thread.thread()
        }
    }
}
