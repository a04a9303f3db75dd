//! Draws a `profile.json` again: its page and its figures, into a new directory.
//!
//! Stages are looked for where it has none.
//!
//! `cargo run --release -p stratigraph-report --example page -- profile.json OUT`

use std::error::Error;
use std::path::PathBuf;

use stratigraph_profile::Profile;
use stratigraph_report::{Report, TerminalChart};
use stratigraph_stages::segment;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [profile, out] = &arguments[..] else { return Err("give a profile.json and a new directory".into()) };
    let mut profile = Profile::read(profile)?;
    if profile.stages.is_none() {
        profile.stages = Some(segment(&profile));
    }
    let written = Report::new(&profile).write(out)?;
    println!("{}", TerminalChart::new(&profile));
    written.iter().for_each(|path| println!("wrote {}", path.display()));
    Ok(())
}
