//! Which format a client wants.

use super::board::Format;

/// The format that `Accept` prefers; for equal wishes the first that is named. Whoever names nothing we have gets the text that
/// everything reads, as from other exporters.
pub(super) fn negotiate(accept: &str) -> Format {
    let mut best: Option<(Format, f64)> = None;
    for wish in accept.split(',') {
        let mut parts = wish.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(String, &str)> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
            .collect();
        let parameter = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        let is = |name: &str, wanted: &str| parameter(name).is_none_or(|value| value == wanted);
        let format = match media_type.as_str() {
            "application/openmetrics-text" if is("version", "1.0.0") => Format::OpenMetrics,
            "application/vnd.google.protobuf"
                if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                    && is("encoding", "delimited") =>
            {
                Format::Protobuf
            }
            "text/plain" if is("version", "0.0.4") => Format::Text,
            "text/*" | "*/*" => Format::Text,
            _ => continue,
        };
        let quality = parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if quality > 0.0 && best.is_none_or(|(_, other)| quality > other) {
            best = Some((format, quality));
        }
    }
    best.map_or(Format::Text, |(format, _)| format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_asks_for_is_understood() {
        let old = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                   text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(negotiate(old), Format::OpenMetrics);
        let native = format!(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,{old}"
        );
        assert_eq!(negotiate(&native), Format::Protobuf);
        let new = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                   application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                   text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(negotiate(new), Format::OpenMetrics);
        assert_eq!(
            negotiate("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.5"),
            Format::Text
        );
    }

    #[test]
    fn everybody_else_gets_text() {
        for accept in
            ["", "*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "image/png", ";;;,=,q", "text/*"]
        {
            assert_eq!(negotiate(accept), Format::Text, "{accept}");
        }
    }

    #[test]
    fn what_is_refused_is_not_sent() {
        assert_eq!(negotiate("application/openmetrics-text;q=0"), Format::Text);
        assert_eq!(negotiate("application/openmetrics-text;q=soon"), Format::Text);
        assert_eq!(negotiate("application/openmetrics-text;version=0.0.1"), Format::Text);
        assert_eq!(negotiate("application/vnd.google.protobuf;proto=other"), Format::Text);
        assert_eq!(
            negotiate("application/OpenMetrics-Text; Version=\"1.0.0\" ; q=0.2, text/plain;q=0.1"),
            Format::OpenMetrics
        );
    }
}
