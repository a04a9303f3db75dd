//! Which heads put a word together from its tokens: the heads ranked, with the attention rows that show it.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::probes::{MergingHead, WordEnds, merging_heads};

#[derive(Parser)]
#[command(about = "Heads that look from the last token of a word to its earlier ones")]
struct Args {
    #[command(flatten)]
    text: common::TextArgs,
    /// Tokens of the words that are looked at
    #[arg(long, default_value_t = WordEnds::USUAL.0, value_parser = common::at_least::<2>)]
    word_len: usize,
    /// Tokens in a window, which ends with the word
    #[arg(long, default_value_t = WordEnds::USUAL.1, value_parser = common::at_least::<3>)]
    seq_len: usize,
    /// At most so many windows with such a word, and as many with a word of one token
    #[arg(long, default_value_t = 256, value_parser = common::at_least::<2>)]
    windows: usize,
    /// Decides which windows
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many heads to show
    #[arg(long, default_value_t = 8)]
    top: usize,
    /// A new file for every head
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    anyhow::ensure!(args.seq_len > args.word_len, "--seq-len must be more than --word-len");
    let (model, tokenizer, text) = args.text.load()?;
    let words = common::words(&tokenizer, &text)?;
    let ends = WordEnds::find(&words, (args.word_len, args.seq_len), args.windows, args.seed)?;
    let bar = common::bar()?;
    bar.set_length(2 * ends.long.n_sequences() as u64);
    let layers = merging_heads(&model, &ends, 64, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    let mut heads: Vec<&MergingHead> = layers.iter().flatten().collect();
    heads.sort_by(|a, b| b.difference().mean.total_cmp(&a.difference().mean));
    let n = ends.long.n_sequences();
    println!("from the last token to the {} before it; {n} windows of either kind", args.word_len - 1);
    println!("layer.head  in a word  elsewhere  difference");
    for head in heads.iter().take(args.top) {
        let (inside, elsewhere, difference) = (head.in_words.mean, head.elsewhere.mean, head.difference());
        let sem = difference.sem.unwrap_or(f64::NAN);
        println!(
            "{:5}.{:<4}  {inside:9.3}  {elsewhere:9.3}  {:6.3} ± {sem:.3}",
            head.layer, head.head, difference.mean
        );
        println!("            in a word  {}", shades(&head.row_in_words));
        println!("            elsewhere  {}", shades(&head.row_elsewhere));
    }
    let rows = layers.iter().flatten().map(|head| {
        let difference = head.difference();
        let sem = difference.sem.map(|sem| sem.to_string()).unwrap_or_default();
        let numbers = [head.in_words.mean, head.elsewhere.mean, difference.mean].map(|x| x.to_string());
        let rows = [&head.row_in_words, &head.row_elsewhere].map(|row| spaced(row));
        [head.layer.to_string(), head.head.to_string()].into_iter().chain(numbers).chain([sem]).chain(rows).collect()
    });
    let header = ["layer", "head", "in_words", "elsewhere", "difference", "sem", "row_in_words", "row_elsewhere"];
    common::write_csv(args.csv.as_deref(), &header, rows)
}

/// An attention row from the first token to the last, with spaces between.
fn spaced(row: &[f64]) -> String {
    row.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

/// An attention row from the first token to the last, in hundredths.
fn shades(row: &[f64]) -> String {
    row.iter().map(|weight| format!("{:3.0}", 100.0 * weight)).collect()
}
