// Data that a part needs lie in scripts of their own, which also load on a page opened from the
// disk. Each calls mmfuseData(name, base64) once.

const store = (window.mmfuseStore ??= { waiting: {}, loaded: {} });     // one for all parts
const here = new URL(".", document.currentScript.src);      // the folder of the part's script

window.mmfuseData = (name, text) => {
  store.waiting[name](Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
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
