//! Effects of a real model against an independent computation in PyTorch, where its files are given.

use std::path::PathBuf;

use stratigraph_core::TokenWindows;
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_study::Study;
use stratigraph_study::measurements::{Ablation, SublayerEffects};
use stratigraph_testing::{device, skipped};

/// The numbers of the reference, its model and its windows.
struct Reference {
    numbers: serde_json::Value,
    model: Decoder,
    windows: TokenWindows,
}

impl Reference {
    /// None, after saying so, where one of its files is not given.
    fn open() -> Option<Self> {
        let file = |variable: &str| match std::env::var_os(variable) {
            Some(path) => Some(PathBuf::from(path)),
            None => {
                skipped(&format!("{variable} names no file"));
                None
            }
        };
        let numbers = std::fs::read(file("STRATIGRAPH_CAUSAL_REFERENCE")?).unwrap();
        let numbers: serde_json::Value = serde_json::from_slice(&numbers).unwrap();
        let checkpoint = Checkpoint::open(file("STRATIGRAPH_CAUSAL_MODEL")?).unwrap();
        let text = std::fs::read_to_string(file("STRATIGRAPH_CAUSAL_TEXT")?).unwrap();
        let size = |name: &str| numbers[name].as_u64().unwrap() as usize;
        let ids = checkpoint.tokenizer().unwrap().encode(&text).unwrap();
        let windows = TokenWindows::new(&ids, size("seq_len")).unwrap().take(size("n_sequences"));
        let sum: u64 = windows.ids().iter().map(|&id| u64::from(id)).sum();
        assert_eq!(numbers["sum_ids"].as_u64().unwrap(), sum, "the same tokens");
        Some(Self { numbers, model: checkpoint.load(&device()).unwrap(), windows })
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.numbers[name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }
}

#[test]
fn effects_are_those_of_an_independent_computation() {
    let Some(reference) = Reference::open() else { return };
    let study = Study::new(&reference.model).add(SublayerEffects::new([Ablation::Zero]));
    let findings = study.run(&reference.windows).unwrap();
    for kind in ["dla", "direct", "total"] {
        for (theirs, ours) in [("attn", "attention"), ("mlp", "mlp")] {
            let (name, expected) = (format!("{kind}_{ours}"), reference.numbers(&format!("{kind}_{theirs}")));
            let found = &findings.curve(&name).unwrap().mean;
            assert_eq!(found.len(), expected.len(), "{name}");
            let apart = |(found, expected): (&f64, &f64)| (found - expected).abs();
            let worst = found.iter().zip(&expected).map(apart).fold(0.0, f64::max);
            println!("{name}: at most {worst:e} apart");
            for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let allowed = (0.005 * expected.abs()).max(0.002);
                assert!((found - expected).abs() <= allowed, "{name} {layer}: {found}, not {expected}");
            }
        }
    }
}
