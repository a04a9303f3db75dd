//! Libraries that panic on a damaged file: [`guarded`] makes an error of the panic.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught and becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a library's code on content of a file. If it panics, nothing is printed, and the message of the panic is returned.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    be_quiet_when_guarded();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(outer);
    result.map_err(|panic| message(&*panic))
}

/// Lets the hook that prints panics see those alone that are not caught here. It is put in place once; a hook that the
/// program sets afterwards replaces it.
fn be_quiet_when_guarded() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                usual(info);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it gave no reason").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_other_panics_stay_what_they_are() {
        assert_eq!(guarded(|| 7), Ok(7));
        let number = 3;
        assert_eq!(guarded(|| -> u8 { panic!("no number {number}") }), Err("no number 3".to_owned()));
        let inner = guarded(|| guarded(|| -> u8 { panic!("inner") }).unwrap_err());
        assert_eq!(inner, Ok("inner".to_owned()));
        assert!(!GUARDED.get());
        assert!(catch_unwind(|| panic!("not guarded")).is_err());
    }
}
