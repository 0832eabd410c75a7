//! What a plan's arguments order.

use anyhow::Context as _;

/// Where the input comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// FLV on standard input.
    Pipe,
    /// Anything else: a source that never ends.
    Endless,
}

/// A track of the output.
#[derive(Debug, Clone, PartialEq)]
pub enum Track {
    /// A picture: FFmpeg's encoder and the size in pixels.
    Video {
        /// As `libx264`.
        encoder: String,
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// Sound, AAC.
    Audio,
}

/// The order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub input: Input,
    pub tracks: Vec<Track>,
    /// Frames a second.
    pub framerate: f64,
    /// From key frame to key frame, seconds.
    pub gop: f64,
    /// The length of a part, seconds, in low latency.
    pub part: Option<f64>,
    /// `-progress pipe:3`.
    pub progress: bool,
}

/// Reads the arguments. Options that don't matter here are passed over: every
/// option of a plan takes one value, but for these flags.
pub fn order(args: &[String]) -> anyhow::Result<Order> {
    const FLAGS: [&str; 5] = ["-hide_banner", "-nostdin", "-nostats", "-re", "-y"];
    let mut options = Vec::new();
    let mut args = args.iter();
    while let Some(name) = args.next() {
        if name.starts_with('-') && !FLAGS.contains(&name.as_str()) {
            let value = args
                .next()
                .with_context(|| format!("no value for {name}"))?;
            options.push((name.as_str(), value.as_str()));
        }
    }
    let find = |name: &str| {
        options
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map(|(_, v)| *v)
    };
    let filters: Vec<_> = options
        .iter()
        .filter(|(name, _)| *name == "-filter_complex")
        .map(|(_, v)| *v)
        .collect();
    let filters = filters.join(";");
    let framerate = after(&filters, "fps=")
        .or(find("-r"))
        .map_or(Ok(25.0), rate)
        .context("frame rate")?;
    let gop = match find("-force_key_frames").and_then(|expr| after(expr, "n_forced*")) {
        Some(seconds) => seconds.parse().context("GOP")?,
        None => {
            find("-g:v:0")
                .or(find("-g"))
                .map_or(Ok(2.0 * framerate), str::parse)
                .context("GOP")?
                / framerate
        }
    };
    let maps: Vec<_> = options
        .iter()
        .filter(|(name, _)| *name == "-map")
        .map(|(_, v)| *v)
        .collect();
    Ok(Order {
        input: match find("-i").context("no input")? {
            "-" | "pipe:" | "pipe:0" => Input::Pipe,
            _ => Input::Endless,
        },
        tracks: tracks(&maps, &filters, &find)?,
        framerate,
        gop,
        part: find("-frag_duration")
            .map(|micros| anyhow::Ok(micros.parse::<f64>()? / 1e6))
            .transpose()?,
        progress: find("-progress") == Some("pipe:3"),
    })
}

fn tracks<'a>(
    maps: &[&str],
    filters: &str,
    find: &impl Fn(&str) -> Option<&'a str>,
) -> anyhow::Result<Vec<Track>> {
    // A plan scales by an expression and pads to the size.
    let mark = match filters.contains("pad=") {
        true => "pad=",
        false => "scale=",
    };
    let mut sizes = filters
        .match_indices(mark)
        .map(|(at, found)| &filters[at + found.len()..]);
    let mut tracks = Vec::new();
    let mut videos = 0;
    for map in maps {
        let name = map.trim_start_matches('[');
        if name.starts_with('a') || name.contains(":a") {
            tracks.push(Track::Audio);
            continue;
        }
        let (width, height) = sizes.next().map_or(Ok((640, 360)), size)?;
        let encoder = find(&format!("-c:v:{videos}"))
            .or(find("-c:v"))
            .unwrap_or("libx264");
        tracks.push(Track::Video {
            encoder: encoder.to_owned(),
            width,
            height,
        });
        videos += 1;
    }
    anyhow::ensure!(
        !tracks.is_empty(),
        "Output file does not contain any stream"
    );
    Ok(tracks)
}

/// What follows a mark, up to the end of the number or fraction.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(mark)?;
    let end = rest.find(|char: char| !char.is_ascii_digit() && !"./".contains(char));
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn rate(text: &str) -> anyhow::Result<f64> {
    let (number, divisor) = text.split_once('/').unwrap_or((text, "1"));
    let rate = number.parse::<f64>()? / divisor.parse::<f64>()?;
    anyhow::ensure!(rate.is_finite() && rate > 0.0, "no frame rate: {text}");
    Ok(rate)
}

/// `W:H`, also `w=W:h=H`.
fn size(text: &str) -> anyhow::Result<(u16, u16)> {
    let mut numbers = text.split(':').map(|part| {
        let digits = part.trim_start_matches(|char: char| !char.is_ascii_digit());
        let end = digits
            .find(|char: char| !char.is_ascii_digit())
            .unwrap_or(digits.len());
        digits[..end].parse::<u16>()
    });
    let width = numbers.next().context("no width")??;
    Ok((width, numbers.next().context("no height")??))
}

#[cfg(test)]
mod tests {
    use domain::input::{InputInfo, InputVideo};
    use domain::plan::{Feed, plan};
    use domain::spec::{OperatorPolicy, Spec};

    use super::*;

    #[test]
    fn a_plan_is_understood() {
        let text = "-hide_banner -nostdin -loglevel warning -nostats -progress pipe:3 -f flv \
            -i pipe:0 -filter_complex [0:v]fps=30000/1001,split=2[s0][s1];[s0]scale=768:432,\
            setsar=1[v0];[s1]scale=w=640:h=360,setsar=1[v1];[0:a]aresample=48000[a0] \
            -map [v0] -map [v1] -map [a0] -c:v libx264 -c:v:1 libx265 -g 60 \
            -force_key_frames expr:gte(t,n_forced*2) -c:a aac -f mp4 -frag_duration 400000 pipe:1";
        let args: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        let video = |encoder: &str, width, height| Track::Video {
            encoder: encoder.to_owned(),
            width,
            height,
        };
        let expected = Order {
            input: Input::Pipe,
            tracks: vec![
                video("libx264", 768, 432),
                video("libx265", 640, 360),
                Track::Audio,
            ],
            framerate: 30000.0 / 1001.0,
            gop: 2.0,
            part: Some(0.4),
            progress: true,
        };
        assert_eq!(order(&args).unwrap(), expected);
        assert!(order(&args[..5]).is_err());
    }

    /// What the product asks for, of the sample with other numbers.
    #[test]
    fn the_products_own_plans_are_understood() {
        let sample = include_str!("../../../../live_job.json")
            .replace("\"Gop_size\": 2", "\"Gop_size\": 1")
            .replace("\"Framerate\": 25", "\"Framerate\": 30");
        let spec = Spec::parse(sample.as_bytes(), &OperatorPolicy::default()).unwrap();
        let input = InputInfo {
            video: Some(InputVideo {
                codec: "h264".to_owned(),
                width: 1280,
                height: 720,
                fps: Some(30.0),
            }),
            audio: None,
        };
        let order = order(&plan(&spec, &input, &Feed::FlvPipe).argv).unwrap();
        assert_eq!((order.framerate, order.gop, order.part), (30.0, 1.0, None));
        let sizes: Vec<_> = order
            .tracks
            .iter()
            .filter_map(|track| match track {
                Track::Video { width, height, .. } => Some((*width, *height)),
                Track::Audio => None,
            })
            .collect();
        assert_eq!(sizes, [(640, 360), (768, 432)]);
        assert_eq!(order.tracks.len(), 3);
    }
}
