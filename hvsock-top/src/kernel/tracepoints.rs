//! Where tracepoints keep their fields: tracefs says, in a `format` file for each.

use std::fs;

use super::Fields;

/// Fields of tracepoints' records: the name in the layout, then category, tracepoint and field.
const RECORDS: [(&str, &str, &str, &str); 2] = [
    ("tp_msg_type", "hyperv", "vmbus_on_msg_dpc", "msgtype"),
    ("tp_teardown_ret", "hyperv", "vmbus_teardown_gpadl", "ret"),
];

/// Looks for every field.
pub(super) fn resolve(fields: &mut Fields) {
    for (name, category, tracepoint, field) in RECORDS {
        match (tracepoint_field(category, tracepoint, field), fields.layout.field_mut(name)) {
            (Ok(offset), Some(place)) => *place = offset,
            (Ok(_), None) => unreachable!("{name} is a field of the layout"),
            (Err(why), _) => {
                fields.missing.insert(name, why);
            }
        }
    }
}

/// Where a field is in a tracepoint's record.
fn tracepoint_field(category: &str, name: &str, field: &str) -> Result<u32, String> {
    let tail = format!("events/{category}/{name}/format");
    let text = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .iter()
        .find_map(|root| fs::read_to_string(format!("{root}/{tail}")).ok())
        .ok_or_else(|| format!("tracefs does not show {category}:{name}"))?;
    parse_format(&text, field).ok_or_else(|| format!("{category}:{name} has no field {field}"))
}

fn parse_format(text: &str, field: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let (declaration, rest) = line.trim().strip_prefix("field:")?.split_once(';')?;
        if declaration.split_whitespace().last()? != field {
            return None;
        }
        rest.trim().strip_prefix("offset:")?.split(';').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracepoint_formats_are_understood() {
        let text = "name: vmbus_chan_sched\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
            \tfield:u32 relid;\toffset:8;\tsize:4;\tsigned:0;\n";
        assert_eq!(parse_format(text, "relid"), Some(8));
        assert_eq!(parse_format(text, "other"), None);
    }

    #[test]
    fn every_record_has_its_place_in_the_layout() {
        for (name, ..) in RECORDS {
            assert!(hvsock_common::Layout::EMPTY.field(name).is_some(), "{name}");
        }
    }
}
