//! The summary of a page: sentences made from the curves.

use std::fmt::{self, Write};

use stratigraph_profile::{Curve, OutlierLayer, Profile};

use crate::text::{Escaped, Number, with_error};

pub(super) fn section(f: &mut impl Write, profile: &Profile) -> fmt::Result {
    f.write_str("<section id=\"summary\">\n<h2>Summary</h2>\n")?;
    if let Some(found) = &profile.stages {
        writeln!(f, "<p class=\"verdict\">{}</p>", Escaped(&found.summary()))?;
    }
    f.write_str("<ul class=\"findings\">\n")?;
    for sentence in sentences(profile) {
        writeln!(f, "<li>{}</li>", Escaped(&sentence))?;
    }
    f.write_str("</ul>\n</section>\n")
}

/// A sentence for each finding whose curves are there.
pub(crate) fn sentences(profile: &Profile) -> Vec<String> {
    let headlines = profile.headlines().into_iter().map(|headline| Some(headline.to_string()));
    let damage = [clean(profile), deletion(profile)].into_iter().chain(sinks(profile).into_iter().map(Some));
    let damage = damage.chain(headlines);
    let reading = [swap(profile), lens(profile), attention(profile), words(profile), meaning(profile)];
    let neurons = [peak(profile, "prediction_neurons"), peak(profile, "suppression_neurons")];
    damage.chain(reading).chain(neurons).flatten().collect()
}

fn clean(profile: &Profile) -> Option<String> {
    let loss = profile.values.get("clean_nll").filter(|loss| loss.mean.is_finite())?;
    let entropy = profile.values.get("clean_entropy_bits").map(|entropy| entropy.mean).filter(|bits| bits.is_finite());
    let entropy =
        entropy.map(|bits| format!(", the entropy of its predictions {} bits", Number(bits))).unwrap_or_default();
    Some(format!("The unchanged model's loss is {} nats per token{entropy}.", with_error(loss.mean, loss.sem)))
}

fn deletion(profile: &Profile) -> Option<String> {
    let curve = profile.curves.get("delete_kl")?;
    let ((worst, most), (best, least)) = (largest(curve)?, smallest(curve)?);
    if most == least {
        return Some(format!("Deleting a layer changes the output by a KL of {} nats, whichever it is.", Number(most)));
    }
    Some(format!(
        "Deleting layer {worst} changes the output most (KL {} nats), layer {best} least ({} nats); the median layer \
         costs {}.",
        Number(most),
        Number(least),
        Number(median(curve)?),
    ))
}

/// The layers that make the attention sink, as the rule of the stages finds them.
fn sinks(profile: &Profile) -> Vec<String> {
    let outliers = profile.stages.iter().flat_map(|found| &found.outliers);
    let sentence = |it: &OutlierLayer| format!("Layer {} makes the attention sink: {}.", it.layer, it.reason);
    outliers.filter(|it| it.makes_sink).map(sentence).collect()
}

fn swap(profile: &Profile) -> Option<String> {
    let curve = profile.curves.get("swap_kl")?;
    let (worst, most) = largest(curve)?;
    let next = worst + 1;
    Some(format!(
        "Swapping two neighbouring layers costs {} nats in the median; layers {worst} and {next} cost most ({} nats).",
        Number(median(curve)?),
        Number(most)
    ))
}

/// Where the lens agrees with the model more often than not, from there on.
fn lens(profile: &Profile) -> Option<String> {
    let curve = profile.curves.get("lens_top1_agreement")?;
    let (before, _) = curve.mean.iter().enumerate().rev().take_while(|(_, agreement)| **agreement >= 0.5).last()?;
    (before < profile.model.n_layers).then(|| {
        format!(
            "From the residual position before layer {before} on, the logit lens agrees with the model's top-1 prediction \
             in at least half of all positions."
        )
    })
}

fn attention(profile: &Profile) -> Option<String> {
    let (layer, most) = largest(profile.curves.get("prev5_attention_mass")?)?;
    Some(format!(
        "Layer {layer} attends most to the tokens just before: {} of its attention goes to the last five.",
        Number(most)
    ))
}

/// The layer that needs attention within words most, compared with attention across words at the same distances.
fn words(profile: &Profile) -> Option<String> {
    let curve = profile.curves.get("knock_out_words_kl")?;
    let (layer, most) = largest(curve)?;
    let sem = |layer: usize| curve.sem.get(layer).copied().flatten();
    let known: Vec<(f64, f64)> = finite(curve).filter_map(|(layer, value)| Some((value, sem(layer)?))).collect();
    let n_clear = known.iter().filter(|(value, sem)| *value > 2.0 * sem).count();
    let clear = match known.len() {
        0 => String::new(),
        n => format!(" It is more than two standard errors above 0 in {n_clear} of {n} layers."),
    };
    let difference = with_error(most, sem(layer));
    Some(format!(
        "The extra cost of knocking out attention within words, over as much attention across words, is largest in layer \
         {layer}: {difference} nats.{clear}"
    ))
}

/// Where a probe reads a word's sense best, unless that is within two standard errors of the same answer to all.
fn meaning(profile: &Profile) -> Option<String> {
    let curve = profile.curves.get("wic_accuracy")?;
    let (position, most) = largest(curve)?;
    let sem = curve.sem.get(position).copied().flatten().filter(|sem| sem.is_finite());
    let majority = profile.values.get("wic_majority").map(|estimate| estimate.mean).filter(|mean| mean.is_finite());
    if majority.is_some_and(|majority| most - majority <= 2.0 * sem.unwrap_or(0.0)) {
        return None;
    }
    let majority =
        majority.map(|share| format!("; the same answer to all pairs gives {}", Number(share))).unwrap_or_default();
    let (position, accuracy) = (curve.axis.label(position), with_error(most, sem));
    Some(format!("A probe reads the sense of a word in context best {position}: accuracy {accuracy}{majority}."))
}

fn peak(profile: &Profile, name: &str) -> Option<String> {
    let (layer, most) = largest(profile.curves.get(name)?).filter(|(_, most)| *most > 0.0)?;
    let spoken = name.replace('_', " ");
    Some(format!("Layer {layer} has the most {spoken}: {}.", Number(most)))
}

fn finite(curve: &Curve) -> impl Iterator<Item = (usize, f64)> {
    curve.mean.iter().copied().enumerate().filter(|(_, value)| value.is_finite())
}

fn largest(curve: &Curve) -> Option<(usize, f64)> {
    finite(curve).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
}

fn smallest(curve: &Curve) -> Option<(usize, f64)> {
    finite(curve).min_by(|a, b| a.1.total_cmp(&b.1))
}

fn median(curve: &Curve) -> Option<f64> {
    let mut values: Vec<_> = finite(curve).map(|(_, value)| value).collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| (values[(n - 1) / 2] + values[n / 2]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;

    #[test]
    fn sentences_name_the_extremes() {
        let curves: [(&str, &[f64]); 2] =
            [("delete_kl", &[4.0, f64::NAN, 0.5, 1.0]), ("lens_top1_agreement", &[0.6, 0.1, 0.4, 0.5, 1.0])];
        let [deletion, lens] = &sentences(&profile(4, &curves))[..] else { panic!("two curves, two sentences") };
        assert!(
            deletion.contains("layer 0 changes the output most (KL 4 nats), layer 2 least (0.5 nats)"),
            "{deletion}"
        );
        assert!(deletion.ends_with("the median layer costs 1."));
        assert!(lens.starts_with("From the residual position before layer 3 on"), "{lens}");
        assert!(sentences(&profile(2, &[("delete_kl", &[f64::NAN; 2])])).is_empty());
        let equal = sentences(&profile(3, &[("delete_kl", &[1.0; 3])]));
        assert_eq!(equal, ["Deleting a layer changes the output by a KL of 1 nats, whichever it is."]);
    }

    #[test]
    fn a_layer_that_makes_the_attention_sink_is_named() {
        let mut profile = profile(4, &[("delete_kl", &[4.0, 5.0, 0.3, 0.5])]);
        let mut found = crate::testing::segmentation(4);
        found.outliers.push(OutlierLayer::new(2, "delete_kl", 9.0, "deleting it costs 5 nats").as_sink());
        profile.stages = Some(found);
        let sentences = sentences(&profile);
        let sinks: Vec<_> = sentences.iter().filter(|sentence| sentence.contains("attention sink")).collect();
        assert_eq!(sinks, ["Layer 2 makes the attention sink: deleting it costs 5 nats."]);
    }

    #[test]
    fn attention_within_words_is_compared_with_attention_across() {
        let sentences = sentences(&profile(3, &[("knock_out_words_kl", &[0.5, 0.125, -1.0])]));
        let expected = "The extra cost of knocking out attention within words, over as much attention across words, is largest in \
                        layer 0: 0.5 ± 0.12 nats. It is more than two standard errors above 0 in 1 of 3 layers.";
        assert_eq!(sentences, [expected]);
    }

    #[test]
    fn a_probe_that_learnt_nothing_is_not_praised() {
        let mut profile = profile(2, &[("wic_accuracy", &[0.5, 0.8, 0.6])]);
        let error = "A probe reads the sense of a word in context best before layer 1: accuracy 0.8 ± 0.12";
        assert_eq!(sentences(&profile), [format!("{error}.")]);
        profile.values.insert("wic_majority".into(), stratigraph_profile::Estimate::exact(0.5));
        assert_eq!(sentences(&profile), [format!("{error}; the same answer to all pairs gives 0.5.")]);
        profile.values.insert("wic_majority".into(), stratigraph_profile::Estimate::exact(0.6));
        assert!(sentences(&profile).is_empty());
    }
}
