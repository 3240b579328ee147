// Pictures that are dropped or pasted; they stay in the page.

/** The first picture of what was dropped or pasted, else null. */
function firstPicture(transfer) {
  return [...transfer?.files ?? []].find((file) => file.type.startsWith("image/")) ?? null;
}

/** Take pictures that are dropped on a box or pasted into the page.
 *  take: called with {file}; refuse: called with an error that says why not. */
export function takePictures(box, take, refuse) {
  const receive = (transfer) => {
    const file = firstPicture(transfer);
    if (file) take({ file });
    else refuse(new Error("That was no picture file. Drop one from a folder of your machine."));
  };
  box.addEventListener("dragover", (event) => {
    event.preventDefault();
    box.classList.add("draw-over");
  });
  box.addEventListener("dragleave", (event) => {
    if (!box.contains(event.relatedTarget)) box.classList.remove("draw-over");
  });
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("draw-over");
    receive(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => {
    if (firstPicture(event.clipboardData)) receive(event.clipboardData);
  });
}
