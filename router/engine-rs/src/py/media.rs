//! Codecs, extensions and encodings of an m-line: from the typed dictionaries of `_engine.pyi`, checked.

use super::arguments::{Number, optional_short_id, optional_ssrc};
use super::errors::config;
use crate::core::command::{
    Codec, CodecConfig, EncodingConfig, Extension, ExtensionIds, Feedback, MediaKind, Preference,
    Priority,
};
use crate::ids::PayloadType;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use std::collections::{HashMap, HashSet};

/// Codecs of one m-line at most: payload types are 7 bits.
const MAX_CODECS: usize = 128;

/// Encodings of one track at most.
const MAX_ENCODINGS: usize = 8;

const CODECS: [(&str, Codec); 7] = [
    ("opus", Codec::Opus),
    ("red", Codec::Red),
    ("vp8", Codec::Vp8),
    ("vp9", Codec::Vp9),
    ("h264", Codec::H264),
    ("av1", Codec::Av1),
    ("other", Codec::Other),
];

const FEEDBACK: [(&str, Feedback); 6] = [
    ("nack", Feedback::Nack),
    ("pli", Feedback::Pli),
    ("fir", Feedback::Fir),
    ("transport-cc", Feedback::TransportCc),
    ("remb", Feedback::Remb),
    ("ccfb", Feedback::Ccfb),
];

/// How much a slot matters.
const PRIORITIES: [(&str, Priority); 3] = [
    ("ordinary", Priority::Ordinary),
    ("preferred", Priority::Preferred),
    ("pinned", Priority::Pinned),
];

/// What to keep of a picture.
const PREFERENCES: [(&str, Preference); 2] = [
    ("motion", Preference::Motion),
    ("detail", Preference::Detail),
];

const KINDS: [(&str, MediaKind); 2] = [("audio", MediaKind::Audio), ("video", MediaKind::Video)];

const EXTENSIONS: [(&str, Extension); 11] = [
    ("urn:ietf:params:rtp-hdrext:sdes:mid", Extension::Mid),
    (
        "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        Extension::Rid,
    ),
    (
        "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        Extension::RepairedRid,
    ),
    (
        "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        Extension::AudioLevel,
    ),
    (
        "urn:ietf:params:rtp-hdrext:csrc-audio-level",
        Extension::CsrcAudioLevel,
    ),
    (
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        Extension::TransportCc,
    ),
    (
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        Extension::AbsSendTime,
    ),
    (
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
        Extension::AbsCaptureTime,
    ),
    ("urn:3gpp:video-orientation", Extension::VideoOrientation),
    (
        "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        Extension::PlayoutDelay,
    ),
    (
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
        Extension::DependencyDescriptor,
    ),
];

/// How much a slot matters, and what to keep of it.
pub fn priority_from_python(priority: &str, preference: &str) -> PyResult<(Priority, Preference)> {
    Ok((
        choose("priority", &PRIORITIES, priority)?,
        choose("preference", &PREFERENCES, preference)?,
    ))
}

fn choose<T: Copy>(name: &str, choices: &[(&str, T)], text: &str) -> PyResult<T> {
    let found = choices.iter().find(|(choice, _)| *choice == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
        config(format!(
            "{name}: expected {}, got {text:?}",
            known.join(", ")
        ))
    })
}

/// The name of a kind, as Python writes it.
pub fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

/// A kind of media.
pub fn kind(text: &str) -> PyResult<MediaKind> {
    choose("kind", &KINDS, text)
}

/// An item of a typed dictionary.
fn item<'py, T>(name: &str, object: &Bound<'py, PyAny>, key: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    let value = object.get_item(key).map_err(|error| {
        if error.is_instance_of::<PyKeyError>(object.py()) {
            config(format!("{name}: {key:?} is missing"))
        } else {
            config(format!("{name}: expected a mapping"))
        }
    })?;
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        config(format!("{name}.{key}: {}", error.value(object.py())))
    })
}

fn count(name: &str, count: usize, at_least: usize, at_most: usize) -> PyResult<()> {
    if (at_least..=at_most).contains(&count) {
        return Ok(());
    }
    Err(config(format!(
        "{name}: expected {at_least} to {at_most} of them, got {count}"
    )))
}

/// The codecs of one m-line: at least one, each payload type once.
pub fn codecs(objects: &[Bound<'_, PyAny>]) -> PyResult<Vec<CodecConfig>> {
    count("codecs", objects.len(), 1, MAX_CODECS)?;
    let named = objects.iter().enumerate();
    let codecs: Vec<_> = named
        .map(|(i, object)| codec(&format!("codecs[{i}]"), object))
        .collect::<PyResult<_>>()?;
    let mut seen = HashSet::new();
    for codec in &codecs {
        for payload_type in std::iter::once(codec.payload_type).chain(codec.rtx_payload_type) {
            if !seen.insert(payload_type) {
                return Err(config(format!(
                    "codecs: payload type {} is given twice",
                    payload_type.0
                )));
            }
        }
    }
    Ok(codecs)
}

fn codec(name: &str, object: &Bound<'_, PyAny>) -> PyResult<CodecConfig> {
    let number = |key: &str| item::<Number>(name, object, key);
    let payload_type = |key: &str, number: Number| {
        let value = number.within(&format!("{name}.{key}"), 0..=127u8)?;
        PyResult::Ok(PayloadType(value))
    };
    let rtx: Option<Number> = item(name, object, "rtx_payload_type")?;
    let feedback: Vec<String> = item(name, object, "feedback")?;
    Ok(CodecConfig {
        payload_type: payload_type("payload_type", number("payload_type")?)?,
        rtx_payload_type: rtx
            .map(|rtx| payload_type("rtx_payload_type", rtx))
            .transpose()?,
        codec: choose(
            &format!("{name}.codec"),
            &CODECS,
            &item::<String>(name, object, "codec")?,
        )?,
        format: number("format")?.within(&format!("{name}.format"), 0..=u32::MAX)?,
        clock_rate: number("clock_rate")?
            .within(&format!("{name}.clock_rate"), 1_000..=1_000_000)?,
        feedback: feedback
            .iter()
            .map(|text| choose(&format!("{name}.feedback"), &FEEDBACK, text))
            .collect::<PyResult<_>>()?,
    })
}

/// The extensions the engine knows, each id once; other URIs are left out.
pub fn extensions(ids: HashMap<String, Number>) -> PyResult<ExtensionIds> {
    let mut known = Vec::with_capacity(ids.len().min(EXTENSIONS.len()));
    let mut seen = HashMap::new();
    for (uri, id) in ids {
        // 15 is reserved among one-byte ids only (RFC 8285 section 4.2); the writer of packets cares for that.
        let id = id.within(&format!("extensions[{uri:?}]"), 1..=255u8)?;
        if let Some(other) = seen.insert(id, uri.clone()) {
            return Err(config(format!(
                "extensions: id {id} is given to {other:?} and {uri:?}"
            )));
        }
        if let Some((_, extension)) = EXTENSIONS.iter().find(|(name, _)| *name == uri) {
            known.push((*extension, id));
        }
    }
    known.sort_unstable_by_key(|(_, id)| *id);
    Ok(ExtensionIds(known))
}

/// The encodings of a track: at least one, each RID and SSRC once.
pub fn encodings(objects: &[Bound<'_, PyAny>]) -> PyResult<Vec<EncodingConfig>> {
    count("encodings", objects.len(), 1, MAX_ENCODINGS)?;
    let named = objects.iter().enumerate();
    let encodings: Vec<_> = named
        .map(|(i, object)| encoding(&format!("encodings[{i}]"), object))
        .collect::<PyResult<_>>()?;
    let mut ssrcs = HashSet::new();
    let mut rids = HashSet::new();
    for encoding in &encodings {
        for ssrc in encoding.ssrc.into_iter().chain(encoding.rtx_ssrc) {
            if !ssrcs.insert(ssrc) {
                return Err(config(format!("encodings: SSRC {} is given twice", ssrc.0)));
            }
        }
        if let Some(rid) = encoding.rid.filter(|rid| !rids.insert(*rid)) {
            return Err(config(format!("encodings: rid {rid:?} is given twice")));
        }
    }
    Ok(encodings)
}

fn encoding(name: &str, object: &Bound<'_, PyAny>) -> PyResult<EncodingConfig> {
    let rid: Option<String> = item(name, object, "rid")?;
    let ssrc = |key: &str| optional_ssrc(item(name, object, key)?, &format!("{name}.{key}"));
    Ok(EncodingConfig {
        rid: optional_short_id(&format!("{name}.rid"), rid.as_deref())?,
        ssrc: ssrc("ssrc")?,
        rtx_ssrc: ssrc("rtx_ssrc")?,
    })
}
