// The map of the joint space: a plane to look at, a list to go through, and what lies near in the
// full space. The still pictures stay where a canvas or the data cannot be had.

import { addControls } from "./joint_map/controls.js";
import { addDetail } from "./joint_map/detail.js";
import { make } from "./joint_map/dom.js";
import { addList } from "./joint_map/list.js";
import { loadMap } from "./joint_map/model.js";
import { Plane } from "./joint_map/plane.js";
import { STYLE } from "./joint_map/style.js";

function canDraw() {
  return Boolean(document.createElement("canvas").getContext?.("2d"));
}

/** Let the browser show what there is, and hear the reader, before the next part is made. */
function pause() {
  return new Promise((resolve) => { setTimeout(resolve); });
}

/** Fill the places with what the data say; each part learns of a change by the model. */
async function start(model, places) {
  places.credit.textContent = model.credit;
  addControls(model, places.top, places.filters);
  addDetail(model, places.detail);
  await pause();
  const plane = places.canvas && new Plane(model, places.canvas, places.buttons);
  await pause();
  addList(model, places.list, (item) => plane?.show(item));
  await pause();
  model.loadSheet("held");
}

function lay(root) {
  const still = [...root.childNodes], stage = make("div", "stage"), places = {};
  for (const name of ["top", "filters", "buttons", "detail", "list"]) {
    places[name] = make("div", name);
  }
  if (canDraw()) {
    places.canvas = make("canvas", "plane");
    stage.append(places.canvas, places.buttons);
  } else {
    stage.append(...still);
  }
  const below = make("div", "below");
  places.credit = make("small", "credit");
  below.append(places.detail, places.list);
  root.replaceChildren(make("style", "", STYLE), places.top, stage, places.credit,
                       places.filters, below);
  return { places, still };
}

async function run(root) {
  const { places, still } = lay(root);
  try {
    await start(await loadMap(), places);
  } catch (error) {
    root.replaceChildren(make("p", "", `${error.message} Load the page again to try once more.`),
                         ...still);
  }
}

run(document.querySelector('[data-live="joint_map"]'));
