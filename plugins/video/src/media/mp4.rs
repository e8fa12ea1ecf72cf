//! Fragmented MP4 as CMAF has it: what players need once, and then a fragment for each segment.

use mp4_atom::{
    Atom, Audio, Avc1, Avcc, Codec, Dinf, Dref, Encode, FixedPoint, FourCC, Ftyp, Hdlr, Mdhd, Mdia,
    Mfhd, Minf, Moof, Moov, Mp4a, Mvex, Mvhd, Smhd, Stbl, Stsd, Styp, Tfdt, Tfhd, Tkhd, Traf, Trak,
    Trex, Trun, TrunEntry, TrunSamples, Visual, Vmhd, esds,
};

use super::{aac, avc};

/// Ticks of a second of video.
pub const VIDEO_SCALE: u32 = 90_000;
/// The numbers of the tracks.
pub const VIDEO: u32 = 1;
pub const AUDIO: u32 = 2;
/// What a sample depends on: nothing, or others and so no place to begin.
const KEY: u32 = 0x0200_0000;
const NOT_KEY: u32 = 0x0101_0000;
/// MPEG-4 audio, and a stream of sound.
const OBJECT_AAC: u8 = 0x40;
const STREAM_AUDIO: u8 = 5;

/// The samples of one track in a fragment.
pub struct Run<'a> {
    /// [`VIDEO`] or [`AUDIO`].
    pub track: u32,
    /// When it begins, in ticks of its track.
    pub time: u64,
    /// Its samples, one behind the other in `data`.
    pub samples: Vec<Sample>,
    pub data: &'a [u8],
}

/// One picture, or one frame of sound. Times are in ticks of the track.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub duration: u32,
    pub size: u32,
    pub is_key: bool,
    /// How much later than it is decoded it is shown.
    pub delay: i32,
}

/// What players need before the first fragment.
pub fn init(
    video: Option<&avc::Parameters>,
    audio: Option<&aac::Parameters>,
) -> mp4_atom::Result<Vec<u8>> {
    let mut trak = Vec::new();
    if let Some(video) = video {
        trak.push(video_track(video)?);
    }
    if let Some(audio) = audio {
        trak.push(audio_track(audio));
    }
    let default = |trak: &Trak| Trex {
        track_id: trak.tkhd.track_id,
        default_sample_description_index: 1,
        ..Trex::default()
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1000,
            rate: FixedPoint::new(1, 0),
            volume: FixedPoint::new(1, 0),
            next_track_id: AUDIO + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex: trak.iter().map(default).collect() }),
        trak,
        ..Moov::default()
    };
    let brands = [b"iso6", b"cmfc", b"mp41"].map(FourCC::new);
    let mut out = Vec::new();
    Ftyp { major_brand: FourCC::new(b"iso6"), minor_version: 0, compatible_brands: brands.into() }
        .encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(out)
}

/// A fragment, which has one run at least.
pub fn fragment(number: u32, runs: &[Run<'_>]) -> mp4_atom::Result<Vec<u8>> {
    let mut out = Vec::new();
    let brands = [b"msdh", b"cmfs"].map(FourCC::new);
    Styp { major_brand: FourCC::new(b"msdh"), minor_version: 0, compatible_brands: brands.into() }
        .encode(&mut out)?;
    // The offsets have one size, whatever they are; so the first writing tells them.
    let mut head = Vec::new();
    moof(number, runs, 0).encode(&mut head)?;
    moof(number, runs, head.len() + 8).encode(&mut out)?;

    let size: usize = 8 + runs.iter().map(|run| run.data.len()).sum::<usize>();
    out.reserve_exact(size);
    let size = u32::try_from(size).map_err(|_| mp4_atom::Error::InvalidSize)?;
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(b"mdat");
    runs.iter().for_each(|run| out.extend_from_slice(run.data));
    Ok(out)
}

/// The head of a fragment, whose samples begin so many bytes behind its beginning.
fn moof(number: u32, runs: &[Run<'_>], mut at: usize) -> Moof {
    let mut traf = Vec::new();
    for run in runs {
        let entry = |sample: &Sample| TrunEntry {
            duration: Some(sample.duration),
            size: Some(sample.size),
            flags: Some(if sample.is_key { KEY } else { NOT_KEY }),
            cts: (run.track == VIDEO).then_some(sample.delay.into()),
        };
        traf.push(Traf {
            tfhd: Tfhd { track_id: run.track, default_base_is_moof: true, ..Tfhd::default() },
            tfdt: Some(Tfdt { base_media_decode_time: run.time }),
            trun: vec![Trun {
                data_offset: Some(i32::try_from(at).unwrap_or(i32::MAX)),
                samples: TrunSamples::Explicit(run.samples.iter().map(entry).collect()),
            }],
            ..Traf::default()
        });
        at += run.data.len();
    }
    Moof { mfhd: Mfhd { sequence_number: number }, traf }
}

fn video_track(video: &avc::Parameters) -> mp4_atom::Result<Trak> {
    let codec = Codec::Avc1(Avc1 {
        visual: Visual {
            data_reference_index: 1,
            width: video.width,
            height: video.height,
            ..Visual::default()
        },
        avcc: Avcc::decode_body(&mut video.record.as_slice())?,
        btrt: None,
        colr: None,
        pasp: None,
        taic: None,
        fiel: None,
        spatial: None,
    });
    let mut track = track(VIDEO, VIDEO_SCALE, b"vide", codec);
    track.tkhd.width = FixedPoint::new(video.width, 0);
    track.tkhd.height = FixedPoint::new(video.height, 0);
    track.mdia.minf.vmhd = Some(Vmhd::default());
    Ok(track)
}

fn audio_track(audio: &aac::Parameters) -> Trak {
    let specific = esds::DecoderSpecific { raw: audio.config.clone(), ..Default::default() };
    let codec = Codec::Mp4a(Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: audio.channels,
            sample_size: 16,
            // Rates beyond 16 bits do not fit; players take the one of the parameters.
            sample_rate: FixedPoint::new(u16::try_from(audio.rate).unwrap_or_default(), 0),
        },
        esds: esds::Esds {
            es_desc: esds::EsDescriptor {
                es_id: 0,
                dec_config: esds::DecoderConfig {
                    object_type_indication: OBJECT_AAC,
                    stream_type: STREAM_AUDIO,
                    dec_specific: Some(specific),
                    ..Default::default()
                },
                ..Default::default()
            },
        },
        btrt: None,
        taic: None,
    });
    let mut track = track(AUDIO, audio.rate, b"soun", codec);
    track.tkhd.volume = FixedPoint::new(1, 0);
    track.mdia.minf.smhd = Some(Smhd::default());
    track
}

fn track(number: u32, timescale: u32, handler: &[u8; 4], codec: Codec) -> Trak {
    Trak {
        tkhd: Tkhd { track_id: number, enabled: true, in_movie: true, ..Tkhd::default() },
        mdia: Mdia {
            mdhd: Mdhd { timescale, language: "und".to_owned(), ..Mdhd::default() },
            hdlr: Hdlr { handler: FourCC::new(handler), name: String::new() },
            minf: Minf {
                dinf: Dinf { dref: Dref { entries: vec![mp4_atom::Url::default().into()] } },
                stbl: Stbl { stsd: Stsd { codecs: vec![codec] }, ..Stbl::default() },
                ..Minf::default()
            },
        },
        ..Trak::default()
    }
}
