//! Runs on devices of other machines: [`guard`] turns a lost connection into one line of error.

use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use stratigraph_study::guard_remote;

use crate::output;

/// The message of the last panic.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Runs something that uses remote devices. burn panics when a connection breaks, which becomes an error and is not printed
/// as a panic; any other panic is printed and propagates.
pub fn guard(run: impl FnOnce() -> Result<()>) -> Result<()> {
    panic::set_hook(Box::new(|panic| *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string()));
    catch_unwind(AssertUnwindSafe(|| guard_remote(run))).unwrap_or_else(|panic| {
        output::panic(&*LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        resume_unwind(panic)
    })
}
