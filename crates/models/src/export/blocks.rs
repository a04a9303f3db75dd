//! Names of the tensors of blocks under other numbers: [`Blocks`].

/// Which layers are written, in which order.
pub(super) struct Blocks<'a> {
    /// What the names of the tensors of blocks begin with, such as `model.layers`.
    pub(super) root: String,
    pub(super) layers: &'a [usize],
}

/// A tensor that is written under a name that may be another one.
#[derive(Debug, PartialEq)]
pub(super) struct Copied {
    pub(super) from: String,
    pub(super) to: String,
    /// Whether it is of a layer that was written before.
    pub(super) repeats: bool,
}

impl Blocks<'_> {
    /// The tensors to write: those of blocks under the numbers of their new places, one place after the other, where the first of
    /// them stands; the others as they are.
    pub(super) fn copies(&self, names: impl IntoIterator<Item = String>) -> Vec<Copied> {
        let (mut before, mut after, mut of_layers) = (Vec::new(), Vec::new(), Vec::<(InBlock, String)>::new());
        for name in names {
            match in_block(&name, &self.root) {
                Some(found) => of_layers.push((found, name)),
                None if of_layers.is_empty() => before.push(as_it_is(name)),
                None => after.push(as_it_is(name)),
            }
        }
        for (place, &layer) in self.layers.iter().enumerate() {
            let repeats = self.layers[..place].contains(&layer);
            for (InBlock { before: outer, rest, .. }, from) in
                of_layers.iter().filter(|(found, _)| found.layer == layer)
            {
                let to = format!("{outer}{}.{place}.{rest}", self.root);
                before.push(Copied { from: from.clone(), to, repeats });
            }
        }
        before.extend(after);
        before
    }
}

fn as_it_is(name: String) -> Copied {
    Copied { from: name.clone(), to: name, repeats: false }
}

/// The parts of the name of a tensor of a block.
struct InBlock {
    /// What comes before the usual name.
    before: String,
    layer: usize,
    rest: String,
}

fn in_block(name: &str, root: &str) -> Option<InBlock> {
    let start = name.find(&format!("{root}."))?;
    let (before, inside) = name.split_at(start);
    if !(before.is_empty() || before.ends_with('.')) {
        return None;
    }
    let (layer, rest) = inside[root.len() + 1..].split_once('.')?;
    Some(InBlock { before: before.to_owned(), layer: layer.parse().ok()?, rest: rest.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_get_the_numbers_of_their_places() {
        let names = ["embed", "blk.0.a", "blk.0.b", "blk.1.a", "blk.2.a", "norm", "blkx.1.a"].map(str::to_owned);
        let blocks = Blocks { root: "blk".into(), layers: &[2, 0, 2] };
        let found = blocks.copies(names);
        let found: Vec<_> = found.iter().map(|copied| (&*copied.from, &*copied.to, copied.repeats)).collect();
        let expected = [
            ("embed", "embed", false),
            ("blk.2.a", "blk.0.a", false),
            ("blk.0.a", "blk.1.a", false),
            ("blk.0.b", "blk.1.b", false),
            ("blk.2.a", "blk.2.a", true),
            ("norm", "norm", false),
            ("blkx.1.a", "blkx.1.a", false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_stands_before_the_root_stays() {
        let blocks = Blocks { root: "model.layers".into(), layers: &[1] };
        let names = ["_orig_mod.model.layers.1.mlp.w", "vision.model.layersx.1.w", "xmodel.layers.1.w"];
        let found = blocks.copies(names.map(str::to_owned));
        let to: Vec<_> = found.iter().map(|copied| &*copied.to).collect();
        assert_eq!(to, ["_orig_mod.model.layers.0.mlp.w", "vision.model.layersx.1.w", "xmodel.layers.1.w"]);
    }
}
