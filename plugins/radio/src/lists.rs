//! The files that players open to find a stream: M3U, PLS and XSPF.

/// One of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Lines.
    M3u,
    /// Pairs, numbered.
    Pls,
    /// XML.
    Xspf,
}

/// A stream.
#[derive(Debug)]
pub struct Entry {
    /// Where it is.
    pub url: String,
    /// What it is called.
    pub name: String,
}

impl List {
    /// The format that a name ends with, and what stands before it.
    pub fn of_name(name: &str) -> Option<(Self, &str)> {
        let (stem, end) = name.rsplit_once('.')?;
        Some(match end {
            "m3u" | "m3u8" => (Self::M3u, stem),
            "pls" => (Self::Pls, stem),
            "xspf" => (Self::Xspf, stem),
            _ => return None,
        })
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::M3u => "audio/x-mpegurl",
            Self::Pls => "audio/x-scpls",
            Self::Xspf => "application/xspf+xml",
        }
    }

    /// The file.
    pub fn write(self, entries: &[Entry]) -> String {
        match self {
            Self::M3u => {
                let line =
                    |entry: &Entry| format!("#EXTINF:-1,{}\r\n{}\r\n", entry.name, entry.url);
                format!("#EXTM3U\r\n{}", entries.iter().map(line).collect::<String>())
            }
            Self::Pls => {
                let lines = |(at, entry): (usize, &Entry)| {
                    let at = at + 1;
                    format!(
                        "File{at}={}\r\nTitle{at}={}\r\nLength{at}=-1\r\n",
                        entry.url, entry.name
                    )
                };
                let lines: String = entries.iter().enumerate().map(lines).collect();
                format!("[playlist]\r\nNumberOfEntries={}\r\n{lines}Version=2\r\n", entries.len())
            }
            Self::Xspf => {
                let track = |entry: &Entry| {
                    let (url, name) = (escape(&entry.url), escape(&entry.name));
                    format!("<track><location>{url}</location><title>{name}</title></track>")
                };
                let tracks: String = entries.iter().map(track).collect();
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<playlist version=\"1\" \
                     xmlns=\"http://xspf.org/ns/0/\"><trackList>{tracks}</trackList></playlist>\n"
                )
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_names_each_stream() {
        let entries = ["a.mp3", "a.ogg"]
            .map(|name| Entry { url: format!("http://h/radio/{name}"), name: "A & B".to_owned() });
        assert_eq!(List::of_name("lobby.mp3.m3u"), Some((List::M3u, "lobby.mp3")));
        assert_eq!(List::of_name("lobby.mp3"), None);
        assert_eq!(
            List::M3u.write(&entries),
            "#EXTM3U\r\n#EXTINF:-1,A & B\r\nhttp://h/radio/a.mp3\r\n#EXTINF:-1,A & B\r\nhttp://h/radio/a.ogg\r\n"
        );
        assert!(
            List::Pls
                .write(&entries)
                .contains("NumberOfEntries=2\r\nFile1=http://h/radio/a.mp3\r\nTitle1=A & B\r\n")
        );
        assert!(
            List::Xspf
                .write(&entries)
                .contains("<location>http://h/radio/a.ogg</location><title>A &amp; B</title>")
        );
    }
}
