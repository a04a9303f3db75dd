//! Reads rotary positions from the configuration of a Hugging Face directory: [`from_hf`].

use super::keys::{Keys, missing, unsupported};
use crate::{LongRope, ModelError, Result, Rope, RopeScaling, Yarn};

/// transformers' default for the base in most families.
pub(super) const USUAL_BASE: f64 = 10_000.0;

/// Numbers that a rotary object may leave to the configuration around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outer {
    pub(super) d_head: usize,
    pub(super) base: f64,
    /// The fraction of a head that is rotated.
    pub(super) fraction: f64,
    /// The context that the model is used with.
    pub(super) n_ctx: usize,
    /// The context it was first trained with, where it stands outside; it has priority.
    pub(super) original_n_ctx: Option<usize>,
}

impl Outer {
    /// Whole heads, with the base that most families have.
    pub(super) fn new(keys: &mut Keys, d_head: usize) -> Result<Self> {
        let n_ctx = keys.size("max_position_embeddings")?;
        Ok(Self { d_head, base: USUAL_BASE, fraction: 1.0, n_ctx, original_n_ctx: None })
    }

    /// What `rope_theta` and `partial_rotary_factor` outside of rotary objects say.
    pub(super) fn read(self, keys: &mut Keys) -> Result<Self> {
        let base = keys.number_or_none("rope_theta")?.unwrap_or(self.base);
        let fraction = keys.number_or_none("partial_rotary_factor")?.unwrap_or(self.fraction);
        let original_n_ctx = keys.size_or_none("original_max_position_embeddings")?.or(self.original_n_ctx);
        Ok(Self { base, fraction, original_n_ctx, ..self })
    }
}

/// Reads `rope_parameters`, or the older `rope_theta` and `rope_scaling`.
pub(super) fn from_hf(keys: &mut Keys, outer: Outer) -> Result<Rope> {
    let outer = outer.read(keys)?;
    from_objects(keys, outer)
}

/// As [`from_hf`], in a family that rotates whole heads.
pub(super) fn whole_heads(keys: &mut Keys, outer: Outer) -> Result<Rope> {
    whole(from_hf(keys, outer)?, outer.d_head)
}

/// Refuses to rotate a part of each head: transformers ignores that in some families, and fails in others.
fn whole(rope: Rope, d_head: usize) -> Result<Rope> {
    if rope.d_rotary == d_head {
        return Ok(rope);
    }
    let rotated = format!("({} of {d_head})", rope.d_rotary);
    Err(unsupported("partial_rotary_factor", rotated, "this family rotates whole heads"))
}

/// As [`from_hf`], of `rope_parameters` or `rope_scaling` alone.
pub(super) fn from_objects(keys: &mut Keys, outer: Outer) -> Result<Rope> {
    let older = keys.object_or_none("rope_scaling")?.filter(|it| it.left().next().is_some());
    match (keys.object_or_none("rope_parameters")?, older) {
        (Some(_), Some(_)) => Err(both()),
        (Some(mut nested), None) => from_object(&mut nested, "rope_parameters", outer),
        (None, Some(mut nested)) => from_object(&mut nested, "rope_scaling", outer),
        (None, None) => rope(outer, RopeScaling::None),
    }
}

/// The error of a configuration that says twice how positions are rotated: which one transformers reads depends on the family.
fn both() -> ModelError {
    unsupported("rope_scaling", "(set)", "rope_parameters is set too; leave one of the two")
}

/// The rotary positions of layers that see everything, and of those with a window, from `rope_parameters` by kind of layer
/// or the older `rope_scaling`, which is for the layers that see everything. Both rotate whole heads.
pub(super) fn by_kind_of_layer(keys: &mut Keys, full: Outer, sliding: Outer) -> Result<ByKind> {
    let mut nested = keys.object_or_none("rope_parameters")?;
    let mut of =
        |kind: &str, outer| match nested.as_mut().map(|nested| nested.object_or_none(kind)).transpose()?.flatten() {
            Some(mut inner) => from_object(&mut inner, &format!("rope_parameters.{kind}"), outer),
            None => rope(outer, RopeScaling::None),
        };
    let (of_full, of_sliding) = (of("full_attention", full)?, of("sliding_attention", sliding)?);
    if let Some(unread) = nested.as_ref().and_then(|nested| nested.left().next()) {
        return Err(unsupported(&format!("rope_parameters.{unread}"), "(set)", "it is no kind of layer"));
    }
    if let (Some(_), RopeScaling::Yarn(Yarn { truncate: false, .. })) = (&nested, &of_full.scaling) {
        let reason = "transformers does not read it in objects by kind of layer; leave it out";
        return Err(unsupported("rope_parameters.full_attention.truncate", "false", reason));
    }
    let of_full = match keys.object_or_none("rope_scaling")? {
        Some(_) if nested.is_some() => return Err(both()),
        Some(mut older) => from_object(&mut older, "rope_scaling", full)?,
        None => of_full,
    };
    Ok(ByKind { full: whole(of_full, full.d_head)?, sliding: whole(of_sliding, sliding.d_head)? })
}

/// Rotary positions of the two kinds of layers.
pub(super) struct ByKind {
    /// Of layers that see everything.
    pub(super) full: Rope,
    /// Of layers with a window.
    pub(super) sliding: Rope,
}

/// Numbers of rotary types; transformers does not read those that another type has.
const NUMBERS: &[&str] = &[
    "factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "high_freq_factor",
    "long_factor",
    "low_freq_factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "short_factor",
    "truncate",
];

/// Reads one object of rotary numbers.
pub(super) fn from_object(keys: &mut Keys, path: &str, outer: Outer) -> Result<Rope> {
    let base = keys.number_or_none("rope_theta")?.unwrap_or(outer.base);
    let fraction = keys.number_or_none("partial_rotary_factor")?.unwrap_or(outer.fraction);
    let inner_original = keys.size_or_none("original_max_position_embeddings")?;
    let original_n_ctx = outer.original_n_ctx.or(inner_original).unwrap_or(outer.n_ctx);
    let outer = Outer { base, fraction, original_n_ctx: Some(original_n_ctx), ..outer };
    let older_name = keys.text_or_none("type")?;
    let rope_type = keys.text_or_none("rope_type")?.or(older_name);
    let scaling = match rope_type.as_deref() {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: keys.number("factor")? },
        Some("dynamic") => RopeScaling::Dynamic { factor: keys.number("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: keys.number("factor")?,
            low_freq_factor: keys.number("low_freq_factor")?,
            high_freq_factor: keys.number("high_freq_factor")?,
            original_n_ctx,
        },
        Some("yarn") => RopeScaling::Yarn(yarn(keys, outer.n_ctx, original_n_ctx)?),
        Some("longrope" | "su") => RopeScaling::LongRope(long_rope(keys, outer.n_ctx, original_n_ctx)?),
        Some(other) => {
            let reason = "known: default, linear, dynamic, llama3, yarn, longrope";
            return Err(unsupported(&format!("{path}.rope_type"), other, reason));
        }
    };
    keys.dead(NUMBERS);
    match keys.left().next() {
        Some(unread) => Err(unsupported(&format!("{path}.{unread}"), "(set)", "it is not a number of this rope type")),
        None => rope(outer, scaling),
    }
}

fn yarn(keys: &mut Keys, n_ctx: usize, original_n_ctx: usize) -> Result<Yarn> {
    let factor = keys.number_or_none("factor")?.unwrap_or(n_ctx as f64 / original_n_ctx as f64);
    let mut yarn = Yarn::new(factor, original_n_ctx);
    let scales = (keys.number_or_none("mscale")?, keys.number_or_none("mscale_all_dim")?);
    if let (Some(scale), Some(scale_all)) = scales
        && scale != 0.0
        && scale_all != 0.0
    {
        let of = |scale| Yarn::attention_factor_of(factor, scale);
        yarn.attention_factor = of(scale) / of(scale_all);
    }
    if let Some(factor) = keys.number_or_none("attention_factor")? {
        yarn.attention_factor = factor;
    }
    // transformers takes 0 for an absent number here.
    yarn.beta_fast = keys.number_or_none("beta_fast")?.filter(|beta| *beta != 0.0).unwrap_or(yarn.beta_fast);
    yarn.beta_slow = keys.number_or_none("beta_slow")?.filter(|beta| *beta != 0.0).unwrap_or(yarn.beta_slow);
    yarn.truncate = keys.flag_or("truncate", true)?;
    Ok(yarn)
}

fn long_rope(keys: &mut Keys, n_ctx: usize, original_n_ctx: usize) -> Result<LongRope> {
    let factor = keys.number_or_none("factor")?.unwrap_or(n_ctx as f64 / original_n_ctx as f64);
    let usual = if factor > 1.0 { (1.0 + factor.ln() / (original_n_ctx as f64).ln()).sqrt() } else { 1.0 };
    let attention_factor = keys.number_or_none("attention_factor")?.unwrap_or(usual);
    let short = keys.numbers_or_none("short_factor")?.ok_or_else(|| missing("short_factor"))?;
    let long = keys.numbers_or_none("long_factor")?.ok_or_else(|| missing("long_factor"))?;
    Ok(LongRope { short, long, original_n_ctx, attention_factor })
}

/// The rope of a head of which a fraction is rotated, rounded down.
fn rope(outer: Outer, scaling: RopeScaling) -> Result<Rope> {
    if !(0.0..=1.0).contains(&outer.fraction) {
        return Err(unsupported("partial_rotary_factor", outer.fraction, "it must lie between 0 and 1"));
    }
    Ok(Rope { base: outer.base, d_rotary: (outer.d_head as f64 * outer.fraction) as usize, scaling })
}
