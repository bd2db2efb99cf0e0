// Where the files beside this one are found.

export const address = name => new URL(name, import.meta.url).href;
