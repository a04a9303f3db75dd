//! Reads mergekit's YAML: [`Mergekit::parse`].

use serde_yaml_ng::{Mapping, Value};

use super::{Mergekit, Slice, bad};
use crate::Result;

/// Layers that a slice may name; a longer range is taken for a typing error.
const MOST: usize = 1 << 16;
/// Which tokenizer the result has: with one model there is one.
const TOKENIZERS: [&str; 2] = ["base", "union"];

impl Mergekit {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When it is not YAML; when its method is another one than `passthrough`, its slices are of several models, or it changes
    /// tensors. The error names the key and says what to do.
    pub fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_yaml_ng::from_str(text).map_err(|error| bad(format!("it is not YAML: {error}")))?;
        let mut top = Keys::new(&value, "the configuration")?;
        match top.text("merge_method")?.as_deref() {
            Some("passthrough") => {}
            Some(other) => {
                return Err(bad(format!(
                    "merge_method: {other} computes new weights from several models; only passthrough can be applied: run \
                     mergekit, and export from the model that it makes"
                )));
            }
            None => return Err(bad("it has no merge_method")),
        }
        let mut sources = Sources::default();
        if let Some(parameters) = top.take("parameters") {
            refuse_parameters(parameters, "parameters")?;
        }
        let slices = match (top.take("slices"), top.take("models")) {
            (Some(slices), None) => Some(sources.slices(slices)?),
            (None, Some(models)) => {
                sources.whole_model(models)?;
                None
            }
            (Some(_), Some(_)) => return Err(bad("it has slices and models; give one of them")),
            (None, None) => return Err(bad("it has neither slices nor models")),
        };
        let model = sources.only()?;
        let dtype = top.text("dtype")?;
        if let Some(out) = top.text("out_dtype")?.filter(|out| Some(out) != dtype.as_ref()) {
            return Err(bad(format!("out_dtype: {out} converts weights, which are copied as they are; remove it")));
        }
        for key in ["base_model", "tokenizer_source"] {
            let other = top.text(key)?.filter(|other| *other != model);
            if let Some(other) = other.filter(|other| key == "base_model" || !TOKENIZERS.contains(&&**other)) {
                return Err(bad(format!(
                    "{key}: {other} is another model than that of the slices, {model}; remove it"
                )));
            }
        }
        top.finish()?;
        Ok(Self { model, slices, dtype })
    }
}

/// The models that were named.
#[derive(Default)]
struct Sources {
    models: Vec<String>,
}

impl Sources {
    fn slices(&mut self, slices: &Value) -> Result<Vec<Slice>> {
        let list = slices.as_sequence().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| bad("slices is not a list of slices"))?;
        list.iter().enumerate().map(|(nth, slice)| self.slice(slice, &format!("slices[{nth}]"))).collect()
    }

    fn slice(&mut self, slice: &Value, at: &str) -> Result<Slice> {
        let mut keys = Keys::new(slice, at)?;
        if let Some(parameters) = keys.take("parameters") {
            refuse_parameters(parameters, &format!("{at}.parameters"))?;
        }
        let sources = keys.take("sources").and_then(Value::as_sequence);
        keys.finish()?;
        let source = match sources.map(Vec::as_slice) {
            Some([source]) => source,
            Some([]) | None => return Err(bad(format!("{at} has no list of sources"))),
            Some(many) => {
                let n = many.len();
                return Err(bad(format!("{at} has {n} sources; a slice of passthrough takes one")));
            }
        };
        let at = format!("{at}.sources[0]");
        let mut keys = self.source(source, &at)?;
        let range = keys.take("layer_range").and_then(Value::as_sequence);
        keys.finish()?;
        let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let ends = range.map(|ends| ends.iter().map(number).collect::<Option<Vec<_>>>());
        match ends.flatten().as_deref() {
            Some(&[start, end]) if start < end && end <= MOST => Ok(Slice { start, end }),
            Some(&[start, end]) if start < end => {
                Err(bad(format!("{at}.layer_range [{start}, {end}] goes beyond {MOST} layers, which no model has")))
            }
            Some(&[start, end]) => {
                Err(bad(format!("{at}.layer_range [{start}, {end}] has no layer; ranges are half-open")))
            }
            _ => Err(bad(format!("{at}.layer_range is not two numbers, such as [0, 12]"))),
        }
    }

    fn whole_model(&mut self, models: &Value) -> Result<()> {
        match models.as_sequence().map(Vec::as_slice) {
            Some([model]) => self.source(model, "models[0]")?.finish(),
            Some([_, ..]) => Err(bad(
                "models lists several; passthrough takes one, or slices of one: give slices with a layer_range each",
            )),
            _ => Err(bad("models is not a list of models")),
        }
    }

    /// Takes the model of a source; the other keys are left.
    fn source<'a>(&mut self, source: &'a Value, at: &str) -> Result<Keys<'a>> {
        let mut keys = Keys::new(source, at)?;
        if let Some(parameters) = keys.take("parameters") {
            refuse_parameters(parameters, &format!("{at}.parameters"))?;
        }
        let model = keys.text("model")?.ok_or_else(|| bad(format!("{at} has no model")))?;
        if let Some((base, adapter)) = model.split_once('+') {
            return Err(bad(format!(
                "{at}.model adds the adapter {adapter} to {base}; merge the adapter into the model first, and name the result"
            )));
        }
        if !self.models.contains(&model) {
            self.models.push(model);
        }
        Ok(keys)
    }

    fn only(&self) -> Result<String> {
        match &self.models[..] {
            [model] => Ok(model.clone()),
            models => Err(bad(format!(
                "its slices are of {} models, {}; an export takes the layers of one checkpoint: use mergekit for several",
                models.len(),
                models.join(" and ")
            ))),
        }
    }
}

/// Accepts a scale of 1, which changes nothing.
fn refuse_parameters(parameters: &Value, at: &str) -> Result<()> {
    let mut keys = Keys::new(parameters, at)?;
    if let Some(scale) = keys.take("scale") {
        refuse_scale(scale, &format!("{at}.scale"))?;
    }
    keys.finish()
}

fn refuse_scale(scale: &Value, at: &str) -> Result<()> {
    match scale {
        Value::Sequence(list) => list.iter().try_for_each(|one| refuse_scale(one, at)),
        Value::Mapping(_) => {
            let mut keys = Keys::new(scale, at)?;
            keys.take("filter");
            keys.take("value").into_iter().try_for_each(|value| refuse_scale(value, at))?;
            keys.finish()
        }
        one if one.as_f64() == Some(1.0) => Ok(()),
        other => {
            let shown = serde_yaml_ng::to_string(other).unwrap_or_default();
            Err(bad(format!(
                "{at} = {} multiplies tensors, which are copied as they are; remove it, or run mergekit",
                shown.trim()
            )))
        }
    }
}

/// The keys of a mapping; those that nothing took are refused.
struct Keys<'a> {
    left: Vec<(&'a str, &'a Value)>,
    at: String,
}

impl<'a> Keys<'a> {
    fn new(value: &'a Value, at: &str) -> Result<Self> {
        let mapping: Option<&Mapping> = value.as_mapping();
        let mapping = mapping.ok_or_else(|| bad(format!("{at} is not a mapping of keys to values")))?;
        let named = mapping.iter().map(|(key, value)| Some((key.as_str()?, value)));
        let left = named.collect::<Option<_>>().ok_or_else(|| bad(format!("{at} has a key that is not a text")))?;
        Ok(Self { left, at: at.to_owned() })
    }

    fn take(&mut self, key: &str) -> Option<&'a Value> {
        let place = self.left.iter().position(|(name, _)| *name == key)?;
        Some(self.left.swap_remove(place).1).filter(|value| !value.is_null())
    }

    fn text(&mut self, key: &str) -> Result<Option<String>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| bad(format!("{key} of {} is not a text", self.at)))?;
        Ok(Some(text.to_owned()))
    }

    fn finish(self) -> Result<()> {
        match self.left.iter().find(|(_, value)| !value.is_null()) {
            Some((key, _)) => {
                Err(bad(format!("`{key}` of {} is not known, and may change the model; remove it", self.at)))
            }
            None => Ok(()),
        }
    }
}
