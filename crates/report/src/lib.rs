//! A profile as tables, CSV and JSON.
