//! `evenkeel status --kube`: the status of a cluster's resources.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::output;
use super::output_format::OutputFormat;
use super::runtime::runtime;
use crate::definition::Kind;
use crate::operator::list;
use crate::operator::resources::Resource;

/// Prints the Environments and every definition that is not ready; exits with 1 if there is one.
pub(super) fn print(namespace: Option<&str>, all_namespaces: bool, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let resources = runtime()?.block_on(list::resources(namespace, all_namespaces))?;
    let all_ready = resources.iter().all(|resource| ready(resource).0 == "True");
    match format {
        OutputFormat::Json => {
            let list: Vec<Value> = resources.iter().map(resource_json).collect();
            output::data(&format!("{:#}\n", json!({"resources": list})));
        }
        OutputFormat::Human => output::data(&human(&resources)),
    }
    Ok(if all_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn resource_json(resource: &Resource) -> Value {
    json!({
        "kind": resource.key.kind.as_str(),
        "namespace": resource.key.namespace,
        "name": resource.key.name,
        "generation": resource.generation,
        "status": resource.status
    })
}

/// Status, reason and message of the condition Ready. A condition of an earlier generation does not count.
fn ready(resource: &Resource) -> (String, String, String) {
    let conditions = resource.status["conditions"].as_array().into_iter().flatten();
    let mut found = conditions.filter(|condition| condition["type"] == "Ready");
    let Some(ready) = found.next() else {
        return ("Unknown".into(), "NotSeen".into(), "no operator has reported a status yet".into());
    };
    let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
    if ready["observedGeneration"].as_i64() != Some(resource.generation) {
        return ("Unknown".into(), "Progressing".into(), "the status is of an earlier generation".into());
    }
    (text("status"), text("reason"), text("message"))
}

fn human(resources: &[Resource]) -> String {
    let paint = output::Paint::new();
    if resources.is_empty() {
        return "no Environments and no definitions found\n".to_owned();
    }
    let mut text = String::new();
    let (environments, definitions): (Vec<&Resource>, Vec<&Resource>) =
        resources.iter().partition(|resource| resource.key.kind == Kind::Environment);
    for resource in environments {
        let (status, reason, message) = ready(resource);
        let word = if status == "True" { paint.green("Ready") } else { paint.red("not ready") };
        let name = format!("{}/{}", resource.key.namespace, resource.key.name);
        text += &format!("{}: {word} ({reason}): {message}\n", paint.bold(&name));
        if let (Some(generation), Some(digest)) =
            (resource.status["generation"].as_u64(), resource.status["digest"].as_str())
        {
            text += &format!("  generation  {generation} {digest}\n");
        }
    }
    let waiting: Vec<&Resource> = definitions.iter().filter(|resource| ready(resource).0 != "True").copied().collect();
    for resource in &waiting {
        let (_, reason, message) = ready(resource);
        text += &format!("{} is not ready ({reason}): {message}\n", resource.key);
        for finding in resource.status["findings"].as_array().into_iter().flatten() {
            let part = |key: &str| finding[key].as_str().unwrap_or_default();
            text += &format!("  {}[{}] {}: {}\n", part("severity"), part("code"), part("pointer"), part("message"));
            if !part("help").is_empty() {
                text += &format!("    help: {}\n", part("help"));
            }
        }
    }
    let count = definitions.len();
    text += &format!("{} of {} ready\n", count - waiting.len(), output::count(count, "definition"));
    text
}
