//! Effects of the sublayers of a trained model against PyTorch and transformers: direct logit attribution, direct and total
//! effects. The files are those of [`reference_edits`](crate::reference_edits).

use stratigraph_study::Study;
use stratigraph_study::measurements::{Ablation, SublayerEffects};

use crate::reference_edits::{Reference, assert_met, numbers};

#[test]
fn effects_of_a_trained_model_are_those_of_transformers() {
    let Some(Reference { values, model, windows, .. }) = Reference::open() else { return };
    let study = Study::new(&model).add(SublayerEffects::new([Ablation::Zero]));
    let findings = study.run(&windows).unwrap();
    for kind in ["dla", "direct", "total"] {
        for (theirs, ours) in [("attn", "attention"), ("mlp", "mlp")] {
            let (name, expected) = (format!("{kind}_{ours}"), numbers(&values[format!("{kind}_{theirs}")]));
            let worst = assert_met(&name, &findings.curve(&name).unwrap().mean, &expected);
            println!("{name}: differs by {worst:.1e} at most");
        }
    }
}
