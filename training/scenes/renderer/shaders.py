"""The programs that run for each vertex and each pixel."""

SHADOW_SIDE = 1024
"""Texels along a side of the shadow map."""
SUPERSAMPLING = 2
"""Samples of a pixel along each side."""

VERTEX = """
#version 330
uniform mat4 view_projection; uniform mat4 view; uniform mat4 model; uniform vec3 model_scale;
in vec3 position; in vec3 normal; in vec2 coordinates;
out vec3 world; out vec3 world_normal; out vec3 local; out vec3 local_normal; out vec2 uv; out float distance;
void main() {
    vec4 at = model * vec4(position, 1.0);
    world = at.xyz; local = position * model_scale; local_normal = normal; uv = coordinates;
    world_normal = mat3(model) * (normal / (model_scale * model_scale));
    distance = -(view * at).z;
    gl_Position = view_projection * at;
}
"""
FRAGMENT = """
#version 330
uniform sampler2D image; uniform sampler2D shadows; uniform mat4 light_projection;
uniform vec3 eye; uniform vec3 light; uniform vec3 sun; uniform vec3 light_color;
uniform float falloff; uniform float softness;
uniform vec4 fill; uniform vec3 sky_light; uniform vec3 ground_light; uniform float haze; uniform vec3 haze_color;
uniform vec3 color; uniform float alpha; uniform float gloss; uniform float shininess; uniform vec3 emission;
uniform int mapping; uniform float metres; uniform int is_sky; uniform float directional;
in vec3 world; in vec3 world_normal; in vec3 local; in vec3 local_normal; in vec2 uv; in float distance;
layout(location = 0) out vec4 result; layout(location = 1) out vec4 depth;
vec3 linear(vec3 c) { return c * c * (0.7 + 0.3 * c); }
float lit() {
    vec4 at = light_projection * vec4(world, 1.0);
    if (at.w <= 0.0) return 1.0;
    vec3 p = at.xyz / at.w * 0.5 + 0.5;
    if (any(lessThan(p.xy, vec2(0.0))) || any(greaterThan(p.xy, vec2(1.0))) || p.z > 1.0) return 1.0;
    float turn = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) * 6.2832;
    float total = 0.0;
    for (int i = 0; i < 8; i++) {
        float r = sqrt((float(i) + 0.5) / 8.0) * softness, a = turn + 2.399963 * float(i);
        total += texture(shadows, p.xy + r * vec2(cos(a), sin(a)) / SHADOW_SIDE).r < p.z - 0.0015 ? 0.0 : 1.0;
    }
    return total / 8.0;
}
void main() {
    vec4 texel = vec4(1.0);
    if (mapping == 1) texel = texture(image, uv);
    else if (mapping == 2) {
        vec3 n = abs(local_normal);
        vec2 at = n.y > max(n.x, n.z) ? local.xz : n.x > n.z ? local.zy : local.xy;
        texel = texture(image, at / metres);
    }
    float opacity = alpha * texel.a;
    if (opacity < 0.04 || (texel.a < 0.5 && alpha > 0.98)) discard;
    vec3 base = color * linear(texel.rgb);
    if (is_sky == 1) { result = vec4(base, 1.0); depth = vec4(0.0, 0.0, 0.0, 1.0); return; }
    vec3 v = normalize(eye - world);
    float bent = length(world_normal);  // 0 where a mesh's normals cancel each other
    vec3 n = bent > 1e-6 ? world_normal / bent : v;
    if (dot(n, v) < 0.0) n = -n;
    vec3 to_light = directional > 0.5 ? sun : light - world;
    float range = length(to_light);
    vec3 l = to_light / range;
    float strength = mix(1.0, 1.0 / (0.4 + range * range * 0.25), falloff);
    vec3 key = light_color * strength * lit();
    vec3 ambient = mix(ground_light, sky_light, n.y * 0.5 + 0.5);
    vec3 to_fill = fill.xyz - world;
    ambient += fill.w * sky_light * max(dot(n, normalize(to_fill)), 0.0) / (0.5 + dot(to_fill, to_fill) * 0.2);
    vec3 shaded = base * (ambient + key * max(dot(n, l), 0.0)) + emission;
    float fresnel = pow(1.0 - max(dot(n, v), 0.0), 4.0);
    vec3 r = reflect(-v, n);
    shaded += gloss * (key * pow(max(dot(n, normalize(l + v)), 0.0), shininess) * 0.8
                       + mix(ground_light, sky_light, r.y * 0.5 + 0.5) * (0.08 + 0.6 * fresnel));
    shaded = mix(haze_color, shaded, exp(-haze * distance));
    result = vec4(shaded, opacity);
    depth = vec4(distance, 0.0, 0.0, 1.0);
}
""".replace("SHADOW_SIDE", f"{SHADOW_SIDE}.0")
SHADOW_VERTEX = """
#version 330
uniform mat4 view_projection; uniform mat4 model; in vec3 position;
void main() { gl_Position = view_projection * model * vec4(position, 1.0); }
"""
SHADOW_FRAGMENT = """
#version 330
void main() {}
"""
SCREEN_VERTEX = """
#version 330
in vec2 position; void main() { gl_Position = vec4(position, 0.0, 1.0); }
"""
# Averages the samples of a pixel and darkens corners by the share of points on a disc around it that surfaces hide
# (screen-space ambient occlusion from the depth alone).
RESOLVE = """
#version 330
uniform sampler2D colors; uniform sampler2D depths; uniform float focal; uniform float radius; uniform float amount;
layout(location = 0) out vec4 result;
void main() {
    ivec2 at = ivec2(gl_FragCoord.xy) * SAMPLES;
    ivec2 size = textureSize(depths, 0);
    vec3 color = vec3(0.0);
    for (int y = 0; y < SAMPLES; y++) for (int x = 0; x < SAMPLES; x++) {
        vec3 c = texelFetch(colors, at + ivec2(x, y), 0).rgb;
        color += c / (1.0 + max(c.r, max(c.g, c.b)));
    }
    color /= float(SAMPLES * SAMPLES);
    color = color / max(1.0 - max(color.r, max(color.g, color.b)), 0.02);
    float center = texelFetch(depths, at, 0).r;
    if (center > 0.0) {
        float pixels = clamp(focal * radius / center, 3.0, 90.0);
        float turn = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) * 6.2832;
        float hidden = 0.0, count = 0.0;
        for (int i = 0; i < 10; i++) {
            float r = sqrt((float(i) + 0.5) / 10.0) * pixels, a = turn + 2.399963 * float(i);
            ivec2 offset = ivec2(r * vec2(cos(a), sin(a)));
            ivec2 p = clamp(at + offset, ivec2(0), size - 1), q = clamp(at - offset, ivec2(0), size - 1);
            float d = texelFetch(depths, p, 0).r, e = texelFetch(depths, q, 0).r;
            // against the plane through both sides: a slanted surface does not shade itself
            float bulge = center - 0.5 * (d + e);
            float near = 1.0 - smoothstep(1.0, 2.5, bulge / radius);
            if (d > 0.0 && e > 0.0) hidden += smoothstep(0.02, 0.5, bulge / radius) * near;
            count += 1.0;
        }
        color *= 1.0 - amount * hidden / count;
    }
    result = vec4(color, center);
}
""".replace("SAMPLES", str(SUPERSAMPLING))
