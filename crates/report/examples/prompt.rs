//! The page of a prompt, drawn again from its numbers: `cargo run --example prompt -- prompt.json new.html`.

use std::env::args;
use std::error::Error;
use std::fs;

use stratigraph_profile::prompt::PromptReading;
use stratigraph_report::PromptPage;

fn main() -> Result<(), Box<dyn Error>> {
    let (Some(from), Some(to)) = (args().nth(1), args().nth(2)) else {
        return Err("give the path of a prompt.json and that of the page".into());
    };
    let reading = PromptReading::from_json(&fs::read_to_string(from)?)?;
    fs::write(to, PromptPage::new(&reading).to_string())?;
    Ok(())
}
