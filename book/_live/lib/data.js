// Data that a part needs lie in scripts of their own, which also load on a page opened from the
// disk. Each calls mmfuseData(name, base64) once.

const store = (window.mmfuseStore ??= { waiting: {}, loaded: {} });     // one for all parts
const here = new URL(".", document.currentScript.src);      // the folder of the part's script

window.mmfuseData = (name, text) => {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  store.waiting[name](bytes);
};

/** Promise of the bytes of data/NAME.js, which is loaded when first asked for. */
export function loadData(name) {
  store.loaded[name] ??= new Promise((resolve, reject) => {
    store.waiting[name] = resolve;
    const script = document.createElement("script");
    script.src = new URL(`data/${name}.js`, here);
    script.onerror = () => {
      delete store.loaded[name];        // so that a further try may succeed
      reject(new Error(`The file data/${name}.js did not load.`));
    };
    document.head.append(script);
  });
  return store.loaded[name];
}

/** Address of a file beside the data, such as a picture. */
export function dataFile(name) {
  return new URL(`data/${name}`, here).href;
}
