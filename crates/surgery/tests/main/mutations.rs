//! Damaged texts of plans and interventions: an error of one line, or an intervention that is written and read back as itself.

use proptest::prelude::*;
use stratigraph_surgery::Intervention;
use stratigraph_testing::{any_damage, n_mutations};

const TEXTS: [&str; 6] = [
    "0..14-12-13-14-15..39",
    "0..3-(3+4)-(3+4)-5..12 | blocks.3.hook_mlp_out mean(2..) | blocks.7.hook_resid_post pos=1.. skip",
    "0..12 | blocks.3.attn.hook_z heads=0,2..5 pos=0,3..6 zero | blocks.11.attn.hook_pattern clean",
    "none",
    "0..30 | blocks.4.attn.hook_attn_scores mask_distances(1..6) | blocks.5.attn.hook_attn_scores mask_keys(0,4..9)",
    "0..12 | blocks.2.mlp.hook_post units=7,100..200 scale(-0.5) | blocks.1.hook_attn_out resample",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: n_mutations(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_of_interventions(
        text in prop::sample::select(&TEXTS[..]),
        changes in prop::collection::vec(any_damage(), 1..3),
    ) {
        let mut bytes = text.as_bytes().to_vec();
        changes.iter().for_each(|change| change.apply(&mut bytes, usize::MAX));
        match String::from_utf8_lossy(&bytes).parse::<Intervention>() {
            Ok(read) => prop_assert_eq!(&read.to_string().parse::<Intervention>().unwrap(), &read),
            Err(error) => prop_assert!(!error.to_string().contains('\n'), "one line: {error}"),
        }
    }
}

#[test]
fn mutations_begin_with_texts_that_are_sound() {
    for text in TEXTS {
        assert_eq!(text.parse::<Intervention>().unwrap().to_string(), text);
    }
}
