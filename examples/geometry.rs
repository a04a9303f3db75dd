//! How the residual stream grows and turns: a table over layers, and a CSV of every pair of places in it.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use stratigraph::probes::{Geometry, StreamSample, cka, cka_unbiased};

use common::Source;

#[derive(Parser)]
#[command(about = "Norms, cosines, angles and similarity (CKA) of the residual stream over depth")]
struct Args {
    #[command(flatten)]
    source: Source,
    /// Leave out so many positions of each window, from its start
    #[arg(long, default_value_t = 0)]
    skip_first: usize,
    /// At most so many positions for CKA, evenly spaced
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(4..))]
    positions: u32,
    /// A new file for every pair of places
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let loaded = args.source.load_one()?;
    let common::Loaded { model, windows, .. } = &loaded;
    ensure!(args.skip_first < windows.seq_len(), "--skip-first leaves no position of a window");
    let mut geometry = Geometry::new(args.skip_first);
    let mut sample = StreamSample::new(windows, args.skip_first, args.positions as usize);
    loaded.observe(&mut [&mut geometry, &mut sample])?;

    let device = model.device();
    let similar = cka(&sample.spaced(&device));
    let last = sample.last(&device);
    let unbiased =
        if windows.n_sequences() > 3 { cka_unbiased(&last) } else { vec![vec![f64::NAN; last.len()]; last.len()] };
    let norm = |numbers: &stratigraph::probes::statistics::PerSequence| numbers.summary().mean;
    println!("layer  |resid|   |attn|    |mlp|   cos in-out    angle    CKA  CKA of last positions");
    for layer in 0..model.n_layers() {
        println!(
            "{layer:5}  {:7.2}  {:7.2}  {:7.2}   {:10.4}   {:6.4}  {:5.3}  {:5.3}",
            norm(&geometry.resid_norm()[layer]),
            norm(&geometry.attn_out_norm()[layer]),
            norm(&geometry.mlp_out_norm()[layer]),
            norm(&geometry.cosine()[layer][layer + 1]),
            geometry.angular_distance(1)[layer],
            similar[layer][layer + 1],
            unbiased[layer][layer + 1],
        );
    }
    println!("  end  {:7.2}", norm(&geometry.resid_norm()[model.n_layers()]));
    println!("{}", args.source.told(windows));
    let pairs = (0..=model.n_layers()).flat_map(|a| (0..=model.n_layers()).map(move |b| (a, b)));
    let rows = pairs.map(|(a, b)| {
        let angle = geometry.angular_distance(a.abs_diff(b))[a.min(b)];
        let numbers = [norm(&geometry.cosine()[a][b]), angle, similar[a][b], unbiased[a][b]];
        [a.to_string(), b.to_string()].into_iter().chain(numbers.map(|x| x.to_string())).collect()
    });
    let header = ["place", "other", "cosine", "angular_distance", "cka", "cka_last_unbiased"];
    common::write_csv(args.csv.as_deref(), &header, rows)
}
