//! Functions that chat templates call: [`raise_exception`], [`strftime_now`].

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

use super::calendar::Moment;

/// Refuses a conversation.
pub(super) fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The time of day and the date, in UTC, as `strftime` writes them.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Moment::of_unix_seconds(seconds)
        .format(format)
        .map_err(|code| Error::new(ErrorKind::InvalidOperation, format!("strftime_now does not know {code}")))
}
