// What users do with the page, as scenarios for browser.mjs. The definitions are in `project`.
import assert from "node:assert/strict";

/** The relative luminance of an `rgb(…)` colour, and the contrast of two (WCAG 2.2). */
const CONTRAST = `
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255).map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };`;

/** The texts of the page whose contrast is below 4.5. */
const FAINT = `(() => { ${CONTRAST}
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
    if (!own || element.closest(".unseen, .skip, :disabled, noscript, [hidden]") || element.getClientRects().length === 0) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(backgroundOf(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(element.textContent.trim().slice(0, 40) + " " + contrast.toFixed(2));
  }
  return [...new Set(found)];
})()`;

/** The controls of the page that have no name for screen readers. */
async function nameless(page) {
  const { nodes } = await page.send("Accessibility.getFullAXTree");
  const roles = ["button", "link", "textbox", "combobox", "checkbox", "searchbox", "navigation", "region", "form", "log", "table"];
  return nodes.filter(({ ignored, role, name }) => !ignored && roles.includes(role?.value) && !name?.value?.trim()).map(({ role }) => role.value);
}

/** Expectations on every state of the page. */
async function accessible(page) {
  for (const scheme of ["light", "dark"]) {
    await page.size(1280, 900, scheme);
    assert.deepEqual(await page.value(FAINT), [], `contrast, ${scheme}`);
  }
  await page.size(1280, 900, "light");
  assert.deepEqual(await nameless(page), []);
  const doubled = await page.value("(() => { const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id); return ids.filter((id, at) => ids.indexOf(id) !== at); })()");
  assert.deepEqual(doubled, [], "ids");
}

async function failedExecution(page) {
  await page.go("#/workflows/ship-order");
  await page.see("Ship an order");
  await page.fill("f:%2Forder", "0");
  await page.fill("f:%2Femail", "ada@example.com");
  await page.click("#run");
  // The field shows the reason.
  await page.until(`document.getElementById("f:%2Forder!").textContent.includes("1")`, "the reason at the field");
  assert.equal(await page.value(`document.activeElement.id`), "f:%2Forder");
  await page.pictures("workflow-refused");
  await accessible(page);
  await page.fill("f:%2Forder", "1042");
  await page.press("Enter", 2);
  await page.click("#open-execution");
  await page.until(`document.querySelector("#execution-status")?.textContent.includes("Failed")`, "the failed execution");
  for (const text of ["UPSTREAM_ERROR", "ship.ts:8", "parcelo/create-shipment", "parcelo/print-label", "order 1042 for ada@example.com", "the printer answers slowly", "book"]) await page.see(text);
  assert.equal(await page.value(`document.querySelectorAll(".log p").length`), 2);
  assert.equal(await page.value(`document.querySelectorAll(".steps li").length`), 3);
  // The failed step is open, and what a user opens stays open.
  assert.ok(await page.value(`[...document.querySelectorAll(".steps details")].some((each) => each.open && each.textContent.includes("print-label"))`));
  await page.pictures("execution-failed");
  await accessible(page);
  await page.value("document.querySelector('#main').scrollTo(0, 10000)");
  await page.picture("execution-failed-logs");
  const first = await page.value("location.hash");
  await page.click("#retry");
  await page.until(`location.hash !== ${JSON.stringify(first)} && location.hash.startsWith("#/executions/") && document.querySelector("#execution-status")?.textContent.includes("Failed")`, "the repeated execution");
  await page.go("#/executions?status=Failed");
  await page.until(`document.querySelectorAll("tbody tr").length === 2`, "two failed executions");
  await page.pictures("executions");
  await accessible(page);
  await page.go("#/executions?status=Queued");
  await page.see("No execution has status “Queued”");
}

async function approval(page) {
  await page.go("#/workflows/release");
  await page.click("#run");
  await page.click("#open-execution");
  await page.see("Waits for the approval customs");
  await page.pictures("execution-waits");
  await accessible(page);
  await page.click(".wait .primary");
  await page.until(`document.querySelector("#execution-status")?.textContent.includes("Completed")`, "the end");
  await page.see("approved");
}

async function actions(page) {
  await page.go("");
  await page.see("Create shipment");
  assert.equal(await page.value("location.hash"), "#/actions/parcelo/create-shipment");
  await page.fill("f:%2Fto", "no address");
  await page.fill("f:%2Fweight", "2.5");
  await page.click("#call");
  await page.see("INVALID_INPUT");
  assert.match(await page.value(`document.getElementById("f:%2Fto!").textContent`), /email/);
  assert.ok(!(await page.value(`document.getElementById("f:%2Fto!").textContent`)).includes("INVALID_INPUT"));
  await page.pictures("action-refused");
  await accessible(page);
  await page.fill("f:%2Fto", "ada@example.com");
  await page.click("#preview");
  await page.see("Rendered, not sent");
  await page.see("POST https://api.parcelo.example/v1/shipments");
  await page.pictures("action-preview");
  await accessible(page);
  await page.click("#call");
  await page.until(`document.getElementById("response-body")?.textContent.includes("shp_71")`, "the response");
  // Places have the folder that was given to `dev`, as in findings.
  const place = await page.value(`document.querySelector(".tags .place").textContent`);
  assert.match(place, /.\/parcelo\.yaml:\d+$/);
  await page.value(`(() => { const tenant = document.getElementById("tenant"); tenant.value = "acme"; tenant.dispatchEvent(new Event("change")); })()`);
  await page.see("x-evenkeel-tenant: acme");
}

async function lists(page, url) {
  await page.go("#/triggers");
  await page.see("EVENKEEL_PAGE_TEST_UNSET");
  await page.see("/hooks/new-orders");
  await page.see("cannot work");
  await page.pictures("triggers");
  await accessible(page);
  const sent = await fetch(`${url}/hooks/returns`, { method: "POST", body: JSON.stringify({ kind: "return", order: 7, email: "bob@example.com" }), headers: { "content-type": "application/json" } });
  assert.equal(sent.status, 202);
  await page.go("#/events");
  await page.until(`document.querySelectorAll("tbody tr").length === 1`, "the event");
  await page.pictures("events");
  await page.click("tbody a");
  await page.see("bob@example.com");
  await page.see("ship-order");
  await accessible(page);
  await page.go("#/dead-letters");
  await page.until(`document.querySelectorAll("tbody tr").length === 1`, "the dead letter");
  await page.pictures("dead-letters");
  await page.click("tbody a");
  await page.click("#replay");
  await page.see("Replayed:");
  await page.go("#/findings");
  await page.see("Findings");
}

/** Everything is reached with the keyboard alone. */
async function keyboard(page) {
  await page.go("");
  await page.see("Create shipment");
  // The page moves the focus once it has loaded, so the first Tab counts only after that.
  const tabbed = async () => {
    await page.value("document.activeElement.blur()");
    await page.press("Tab");
    return page.value("document.activeElement.className");
  };
  for (let tries = 0; (await tabbed()) !== "skip"; tries++) assert.ok(tries < 100, "the first stop is not the skip link");
  await page.press("/");
  await page.until(`document.activeElement.id === "search"`, "the focus in the search field");
  await page.type("label");
  await page.until(`document.querySelectorAll("#items a").length === 1`, "one match");
  await page.press("ArrowDown");
  await page.until(`document.activeElement.matches("#items a")`, "the focus on the match");
  await page.press("Enter");
  await page.until(`location.hash === "#/actions/parcelo/print-label"`, "the action");
  await page.until(`document.getElementById("call") !== null`, "the form of the action");
  await page.press("Enter", 2);
  await page.see("UPSTREAM_ERROR");
  // Focus rings are visible.
  await page.value(`document.getElementById("call").focus()`);
  const ring = await page.value(`(() => { const style = getComputedStyle(document.querySelector(":focus")); return style.outlineStyle; })()`);
  assert.notEqual(ring, "none");
}

/** Findings of an edit with errors; the test breaks the project before it starts the scenario. */
async function broken(page) {
  await page.go("#/findings");
  await page.see("the last good generation keeps serving");
  await page.see("parcelo.yaml:");
  await page.see("EK0101");
  await page.pictures("findings");
  await accessible(page);
}

export const scenarios = { failedExecution, approval, actions, lists, keyboard, broken };
