// An animated GLB in three.js, of npm, in Chromium: what is shown at each frame, where its cameras are, and a picture by the source
// camera; where there is none, the places of the vertices instead.
// node three.mjs FPS FRAMES WIDTH HEIGHT FILE...
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { chromiumPath, FLAGS } from './comfy.mjs'

const [fps, frames, width, height, ...files] = process.argv.slice(2)
const ORIGIN = 'http://three.test/'
const MODULES = new URL('../../node_modules/three/', import.meta.url)
const PAGE =
  '<script type="importmap">{"imports": {"three": "/build/three.module.js", "three/addons/": "/examples/jsm/"}}</script>'

const browser = await chromium.launch({
  executablePath: chromiumPath(),
  headless: true,
  args: ['--headless=new', ...FLAGS]
})
const page = await browser.newPage()
const errors = []
page.on('pageerror', (error) => errors.push(String(error)))
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
await page.route('**/*', (route) => {
  const { pathname } = new URL(route.request().url())
  if (pathname === '/') return route.fulfill({ contentType: 'text/html', body: PAGE })
  if (pathname === '/favicon.ico') return route.fulfill({ status: 204 })
  if (pathname.startsWith('/clip/'))
    return route.fulfill({ contentType: 'model/gltf-binary', body: readFileSync(files[+pathname.slice(6)]) })
  return route.fulfill({ contentType: 'text/javascript', body: readFileSync(new URL(`.${pathname}`, MODULES)) })
})
await page.goto(ORIGIN)
const play = async ({ fps, frames, width, height, number }) => {
  const THREE = await import('three')
  const { GLTFLoader } = await import('three/addons/loaders/GLTFLoader.js')
  const gltf = await new GLTFLoader().loadAsync(`/clip/${number}`)
  const mixer = new THREE.AnimationMixer(gltf.scene)
  for (const clip of gltf.animations) mixer.clipAction(clip).play()
  const renderer = new THREE.WebGLRenderer({ alpha: true, antialias: false, preserveDrawingBuffer: true })
  renderer.setSize(width, height, false)
  const meshes = []
  gltf.scene.traverse((object) => object.isMesh && meshes.push(object))
  const cameras = Object.fromEntries(gltf.cameras.map((camera) => [camera.parent.name || camera.name, camera]))
  const pixels = () => {
    const target = document.createElement('canvas')
    Object.assign(target, { width, height })
    const context = target.getContext('2d')
    context.drawImage(renderer.domElement, 0, 0)
    return [...context.getImageData(0, 0, width, height).data]
  }
  const seen = []
  for (let frame = 0; frame < frames; frame++) {
    mixer.setTime((frame + 0.5) / fps)
    gltf.scene.updateMatrixWorld(true)
    const shown = meshes.filter((mesh) => mesh.matrixWorld.determinant() > 0.5).map((mesh) => mesh.name)
    const places = {}
    for (const [name, camera] of Object.entries(cameras)) {
      mixer.setTime(frame / fps)
      gltf.scene.updateMatrixWorld(true)
      places[name] = camera.matrixWorld.elements.slice()
    }
    mixer.setTime((frame + 0.5) / fps)
    gltf.scene.updateMatrixWorld(true)
    const report = { shown, weights: meshes[0].morphTargetInfluences?.slice() ?? [], places }
    const source = gltf.cameras.find((camera) => /source/.test(camera.name + camera.parent?.name))
    if (source) {
      source.aspect = width / height
      source.updateProjectionMatrix()
      renderer.render(gltf.scene, source)
      report.pixels = pixels()
    } else {
      const count = meshes[0].geometry.attributes.position.count
      const place = (index) => meshes[0].localToWorld(meshes[0].getVertexPosition(index, new THREE.Vector3())).toArray()
      report.vertices = Array.from({ length: count }, (_, index) => place(index))
    }
    seen.push(report)
  }
  return { meshes: meshes.length, duration: gltf.animations[0]?.duration ?? 0, seen }
}
const reports = []
for (const number of files.keys())
  reports.push(await page.evaluate(play, { fps: +fps, frames: +frames, width: +width, height: +height, number }))
await browser.close()
console.log(JSON.stringify({ reports, errors }))
