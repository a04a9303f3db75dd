//! Draws a `profile.json` again: its page and its figures, into a new directory.
//!
//! Stages are looked for where it has none.
//!
//! `cargo run --release -p stratigraph-report --example page -- profile.json OUT`

use std::error::Error;

use stratigraph_report::{OutDir, TerminalChart, read_profile};
use stratigraph_stages::Segmentation;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [profile, out] = &arguments[..] else { return Err("give a profile.json and a new directory".into()) };
    let mut profile = read_profile(profile)?;
    if profile.stages.is_none() {
        profile.stages = Some(Segmentation::of(&profile));
    }
    let written = OutDir::create(out)?.write(&profile, &[])?;
    println!("{}", TerminalChart::new(&profile));
    written.iter().for_each(|path| println!("wrote {}", path.display()));
    Ok(())
}
