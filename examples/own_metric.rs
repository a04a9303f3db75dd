//! How is a metric of your own added? `Surprise` needs statistics of a row and shares the fast pass; `Within` needs the
//! logits, which costs a second pass. A study makes a curve of each metric with each sweep.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;

/// The loss in bits.
struct Surprise;

impl Metric for Surprise {
    fn name(&self) -> &str {
        "surprise_bits"
    }
    fn unit(&self) -> &str {
        "bits"
    }
    fn needs_next_token(&self) -> bool {
        true
    }
    fn of_row(&self, row: &RowStatistics) -> Option<f64> {
        Some(-row.next_token()?.log_prob / std::f64::consts::LN_2)
    }
}

/// Whether the token that follows is among the ten most likely ones.
struct Within;

impl Metric for Within {
    fn name(&self) -> &str {
        "top10_accuracy"
    }
    fn unit(&self) -> &str {
        "fraction"
    }
    fn needs_next_token(&self) -> bool {
        true
    }
    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }
    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        Some(f64::from(u8::from(rows.changed().top_k(10).contains(&rows.next_token()?))))
    }
}

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 4)?;
    let findings = Study::new(&model).metric(Surprise).metric(Within).add(Sweep::delete()).run(&windows)?;
    let [bits, top10] = [findings.curve("delete_surprise_bits")?, findings.curve("delete_top10_accuracy")?];
    for layer in 0..model.n_layers() {
        println!("delete {layer:>2}: {:>5.2} bits, {:.3} within ten", bits.mean[layer], top10.mean[layer]);
    }
    Ok(())
}
