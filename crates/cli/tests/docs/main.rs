//! The documentation: its commands run, and its links lead somewhere.

#[cfg(unix)]
mod commands;
mod links;
