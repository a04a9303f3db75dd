//! From what a user types to a checkpoint: [`open`].

use std::path::Path;

use stratigraph_hub::{Download, Hub, HubId};
use stratigraph_models::Pretrained;

use crate::{Error, Result};

/// Opens a GGUF file, a Hugging Face directory, or a model of the hub, `organisation/name[@revision]`.
///
/// What exists as a path is one. A model of the hub comes out of the local cache, or is downloaded into it when the
/// feature `hub` is on; `progress` hears how far a download is.
///
/// ```no_run
/// let checkpoint = stratigraph::open("EleutherAI/pythia-70m", |_| {})?;
/// println!("{} layers", checkpoint.config().n_layers);
/// # Ok::<(), stratigraph::Error>(())
/// ```
///
/// # Errors
/// When there is no such model, it cannot be fetched, or it is not one that can be honoured.
pub fn open(model: &str, progress: impl FnMut(Download)) -> Result<Pretrained> {
    let path = Path::new(model);
    if path.exists() {
        return Ok(Pretrained::open(path)?);
    }
    let fetch = |id: HubId| Hub::from_env()?.get(&id, progress);
    match model.parse::<HubId>().and_then(fetch) {
        Ok(snapshot) => Ok(Pretrained::open(snapshot.path())?),
        Err(reason) => Err(Error::NoSuchModel { model: model.to_owned(), reason }),
    }
}
